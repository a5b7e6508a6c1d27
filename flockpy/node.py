"""What a node is and can do, as its agent reports it. Pure."""

import msgspec


class Device(msgspec.Struct, frozen=True):
    """A place where layers can run. `kind` is ``cpu``, ``cuda``, ``metal`` or ``rocm``; memory in bytes."""

    kind: str
    name: str
    memory_bytes: int


class EngineInfo(msgspec.Struct, frozen=True):
    """An engine driver on this node. `reason` says why it is not available and what mends that."""

    name: str
    available: bool
    version: str = ""
    reason: str = ""


class Hardware(msgspec.Struct, frozen=True):
    os: str
    arch: str
    cpu: str
    physical_cores: int
    memory_bytes: int
    devices: tuple[Device, ...] = ()


class NodeInfo(msgspec.Struct, frozen=True):
    """Sent at registration and in each report."""

    hostname: str
    version: str
    hardware: Hardware
    engines: tuple[EngineInfo, ...] = ()
