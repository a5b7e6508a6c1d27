"""Which one? A command that needs an id and gets none, or one that does not exist, asks or lists."""

import difflib
import sys
from collections.abc import Mapping

from flockpy.cli.output import note, safe
from flockpy.errors import StartError

_LISTED = 20


def choose(given: str, what: str, candidates: Mapping[str, str], *, interactive: bool = True) -> str:
    """The id that was meant: `given` when it is a candidate, else what the person picks on a terminal.

    `candidates` maps ids to a few words on each; `what` is the kind of thing, such as ``model``.
    Raises StartError, listing the candidates, when nobody can be asked, and when there are none.
    """
    if given in candidates:
        return given
    if not candidates:
        raise StartError(f"there is no {what} yet" + (f", so none is called {given!r}" if given else ""))
    if interactive and sys.stdin.isatty() and sys.stdout.isatty():
        return _ask(given, what, candidates)
    problem = f"no {what} is called {given!r}; there are:" if given else f"which {what}? There are:"
    near = difflib.get_close_matches(given, candidates, n=1) if given else []
    shown = [f"  {safe(name)}  {safe(words)}" for name, words in list(candidates.items())[:_LISTED]]
    if len(candidates) > _LISTED:
        shown.append(f"  … and {len(candidates) - _LISTED} more")
    hint = f"did you mean {near[0]}?" if near else None
    raise StartError("\n".join([problem, *shown]), hint=hint)


def _ask(given: str, what: str, candidates: Mapping[str, str]) -> str:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import FuzzyWordCompleter
    from prompt_toolkit.validation import Validator

    if given:
        note(f"no {what} is called {given!r}; which one?")
    completer = FuzzyWordCompleter(
        [safe(name) for name in candidates], meta_dict={safe(n): safe(w) for n, w in candidates.items()}
    )
    session: PromptSession[str] = PromptSession(
        completer=completer,
        complete_while_typing=True,
        validator=Validator.from_callable(
            lambda text: text.strip() in candidates,
            error_message=f"type to filter, Tab or the arrows to choose a {what}",
        ),
        validate_while_typing=False,
    )

    def open_menu() -> None:
        session.default_buffer.start_completion(select_first=False)

    return session.prompt(
        f"{what}: ", default=given if any(given in name for name in candidates) else "", pre_run=open_menu
    ).strip()
