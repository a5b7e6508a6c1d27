"""The models that a key is bound to, held against those there are: a key follows models by their own names."""

from collections.abc import Sequence

from flockpy.aliases import AUTO
from flockpy.cli import output
from flockpy.cli.client import Api


def warn_of(names: Sequence[str], api: Api) -> None:
    """Say which of the names will let nobody in as things are; they may be right tomorrow."""
    if not names:
        return
    known = {model["id"] for path in ("/models", "/vendors/models") for model in api.items(path)["items"]}
    aliases = {alias["name"]: alias["model"] for alias in api.items("/aliases")["items"]}
    for name in names:
        if name in known:
            continue
        if name == AUTO:
            output.note("warning: auto is no model by itself: name those that it may choose from")
        elif target := aliases.get(name):
            output.note(
                f"warning: {name} is another name of {target}: a key is bound to models by their own names"
            )
        else:
            output.note(f"warning: no model that is known here is called {name}: flockpy model ls")
