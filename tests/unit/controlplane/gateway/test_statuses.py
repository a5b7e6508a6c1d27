"""Every error has a status line on every surface."""

from typing import Any

import pytest

from controlplane.gateway.asked import STATUS, status_line
from controlplane.gateway.plane import SURFACES
from flockpy.errors import FlockError, MethodNotAllowed


def every_error(kind: type[FlockError] = FlockError) -> list[type[FlockError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in every_error(below))]


@pytest.mark.parametrize(
    "kind", [kind for kind in every_error() if not kind.__module__.startswith("flockpy.cli")]
)
@pytest.mark.parametrize("path", SURFACES)
def test_each_status_an_error_has_is_one_that_can_be_sent(path: bytes, kind: type[FlockError]):
    more: dict[str, Any] = {"allow": "GET"} if kind is MethodNotAllowed else {}
    status = SURFACES[path].status(kind("it is so", **more))
    assert STATUS[status].startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("status", [499, 520, 530, 599])
def test_so_has_each_that_a_vendor_may_have(status: int):
    assert status_line(status) == b"HTTP/1.1 %d Unknown\r\n" % status
    assert status_line(529) == STATUS[529]
