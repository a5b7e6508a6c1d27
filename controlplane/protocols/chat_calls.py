"""Tool calls of chat/completions, put together from what engines send of them. Pure."""

import msgspec

from controlplane.protocols.ir import Delta, ToolArgs, ToolStart


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, msgspec.Raw] | None = None


class Fragment(msgspec.Struct):
    """What one chunk says of one call."""

    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Call:
    """A call as far as it has come. `index` is ours, -1 until its name is known."""

    __slots__ = ("held", "id", "index", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.index = -1
        self.held = ""


class Calls:
    """Puts the fragments of calls together, whatever engines leave out of them or repeat."""

    def __init__(self) -> None:
        self.begun = 0
        self._all: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def add(self, fragment: Fragment, deltas: list[Delta], *, alone: bool) -> None:
        """`alone`: the fragment is a whole call."""
        function = fragment.function or _Function()
        call = None if alone else self._find(fragment, function.name)
        if call is None:
            call = _Call()
            self._all.append(call)
            if fragment.index is not None:
                self._by_index[fragment.index] = call
        call.id = call.id or fragment.id or ""
        call.name = call.name or function.name or ""
        said = function.arguments
        text = msgspec.json.encode(said).decode() if isinstance(said, dict) else said or ""
        if call.index < 0:
            call.held += text
            if call.name:
                self._begin(call, deltas)
        elif text:
            deltas.append(ToolArgs(call.index, text))

    def end(self, deltas: list[Delta]) -> None:
        """What never got a name begins without one, so that its arguments are not lost."""
        for call in self._all:
            if call.index < 0 and call.held:
                self._begin(call, deltas)

    def _begin(self, call: _Call, deltas: list[Delta]) -> None:
        call.index = self.begun
        self.begun += 1
        deltas.append(ToolStart(call.index, call.id, call.name))
        if call.held:
            deltas.append(ToolArgs(call.index, call.held))
            call.held = ""

    def _find(self, fragment: Fragment, name: str | None) -> _Call | None:
        """The call that a fragment goes on with; None when it begins one."""
        if fragment.index is not None:
            known = self._by_index.get(fragment.index)
            # Engines that number every call 0 tell them apart by name and id.
            other = known is not None and name and known.name and fragment.id and fragment.id != known.id
            return None if other else known
        if fragment.id and (known := next((call for call in self._all if call.id == fragment.id), None)):
            return known
        return self._all[-1] if self._all and not name else None
