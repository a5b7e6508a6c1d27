"""As much of Markdown as tells an example from the real thing: fences, code in backticks, starts of lines. Pure."""

import re
from typing import Final

_PARTS: Final = re.compile(r"`+|\n|[^`\n]+")
_FENCE: Final = 3


class Markdown:
    """Follows a text that comes in pieces, cut anywhere."""

    __slots__ = ("_blank", "_code", "_fence", "_opening", "_run", "_run_first")

    def __init__(self) -> None:
        self._blank = True  # nothing but white space on this line yet
        self._code = False
        self._fence = 0  # how many backticks have opened the fence that is open
        self._opening = False  # on the line that opened it
        self._run = 0  # backticks so far, of which more may come
        self._run_first = False  # they are the first on their line

    @property
    def line_start(self) -> bool:
        self._settle()
        return self._blank

    @property
    def quoted(self) -> bool:
        """Whether what comes now is an example: code."""
        self._settle()
        return self._code or self._fence > 0

    def plain(self, text: str) -> None:
        """Read a text without backticks."""
        if self._run and text:
            self._settle()
        start = text.rfind("\n") + 1
        if start:
            self._blank, self._code, self._opening = True, False, False
        if self._blank:
            self._blank = not text[start:].strip()

    def read(self, text: str) -> None:
        if "`" not in text:
            self.plain(text)
            return
        for part in _PARTS.findall(text):
            if part[0] != "`":
                self.plain(part)
                continue
            if not self._run:
                self._run_first = self._blank
            self._run += len(part)
            self._blank = False

    def begin_line(self, forget: bool) -> None:
        """Something that is no text was taken out here; `forget`: another text begins."""
        self._settle()
        self._blank, self._code = True, False
        if forget:
            self._fence = 0

    def _settle(self) -> None:
        """No more backticks come: what those so far mean."""
        run, self._run = self._run, 0
        if not run:
            return
        if self._fence:
            if run >= self._fence and (self._run_first or self._opening):
                self._fence = 0
        elif run >= _FENCE and self._run_first:
            self._fence, self._opening = run, True
        else:
            self._code = not self._code
