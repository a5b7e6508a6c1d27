"""Figures as people read them. Pure."""

from math import floor, log10

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def bytes_text(count: float) -> str:
    """``1536`` is ``1.5 KiB``; always in powers of 1024, at most one decimal."""
    size, step = float(count), 0
    while abs(size) >= 1023.95 and step < len(_BYTES) - 1:
        size, step = size / 1024, step + 1
    unit = _BYTES[step]
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"


def count_text(count: float) -> str:
    """``12345`` is ``12.3k``, ``4_000_000`` is ``4.0M``."""
    for limit, divisor, unit in ((999.5, 1, ""), (999_950, 1e3, "k"), (999_950_000, 1e6, "M")):
        if abs(count) < limit:
            return f"{count / divisor:.1f}{unit}" if unit else f"{count:.0f}"
    return f"{count / 1e9:.1f}G"


def dollars_text(amount: float) -> str:
    """``1.5`` is ``$1.50``, ``0.00042`` is ``$0.00042``: cents, and below a dollar two figures."""
    if 0 < abs(amount) < 0.995:
        decimals = max(2, 1 - floor(log10(abs(amount))))
        return f"${amount:.{decimals}f}"
    return f"${amount:,.2f}"


def duration_text(seconds: float) -> str:
    """``0.25`` is ``250 ms``, ``75`` is ``1 min 15 s``, ``90000`` is ``1 d 1 h``: at most two parts."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    for size, unit, smaller_size, smaller in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def sparkline(values: list[float]) -> str:
    """One bar per value, the highest at full height: ``▁▃█``."""
    top = max(values, default=0)
    bars = "▁▂▃▄▅▆▇█"
    return "".join(bars[min(7, int(value / top * 7.999))] if top > 0 else bars[0] for value in values)
