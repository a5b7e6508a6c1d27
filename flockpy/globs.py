"""Names with a ``*`` in them, which stands for any text, the empty one too. Pure."""


def is_glob(name: str) -> bool:
    return "*" in name


def fits(pattern: str, name: str) -> bool:
    """Whether `name` is of the form `pattern`, in time linear in its length: names are anybody's."""
    first, *middle = pattern.split("*")
    if not middle:
        return name == pattern
    last = middle.pop()
    at, end = len(first), len(name) - len(last)
    if at > end or not name.startswith(first) or not name.endswith(last):
        return False
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
