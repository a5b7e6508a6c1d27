"""Vendors that may be asked, as commands show them."""

from typing import Any

from flockpy.cli import output
from flockpy.cli.client import Api
from flockpy.units import count_text, dollars_text

_RATES = {"input": "in", "cache_read": "from the cache", "cache_write": "into the cache", "output": "out"}


def in_words(api: Api) -> str:
    """``anthropic, openai (gave no answer: flockpy doctor)``; "" when none may be asked."""
    vendors = api.items("/vendors")["items"]
    return ", ".join(
        vendor["id"] + (" (gave no answer: flockpy doctor)" if vendor["trouble"] else "")
        for vendor in vendors
    )


def names(api: Api) -> str:
    """Those that may be asked."""
    return ", ".join(vendor["id"] for vendor in api.items("/vendors")["items"])


def list_models(api: Api, as_json: bool) -> None:
    """Print the models of vendors that are known by name, and what they cost."""
    page = api.items("/vendors/models")
    if as_json:
        output.document(page)
        return
    output.table(
        ("id", "vendor", ">context", ">$/M in", ">cached", ">out", "capabilities"),
        (
            (
                model["id"],
                model["vendor"],
                count_text(model["context_window"]),
                *(_rate(model["price"], name) for name in ("input", "cache_read", "output")),
                ", ".join(model["capabilities"]),
            )
            for model in page["items"]
        ),
        empty="no vendor has a key here: nothing leaves the cluster",
    )
    if page["items"]:
        output.note("vendors know more models than these; they are asked for by the vendor's own id")


def find_model(api: Api, name: str) -> dict[str, Any] | None:
    """A vendor's model that is known by that name."""
    return next((m for m in api.items("/vendors/models")["items"] if m["id"] == name), None)


def show_model(model: dict[str, Any]) -> None:
    price: dict[str, Any] = model["price"] or {}
    long: dict[str, Any] = price.get("long") or {}
    output.facts(
        {
            "id": model["id"],
            "vendor": model["vendor"],
            "context": f"{model['context_window']} tokens",
            "capabilities": ", ".join(model["capabilities"]),
            "price": f"{_rates(price)} for a million tokens" if price else "not known",
            "long prompts": f"{_rates(long)} above {long['above']} tokens" if long else None,
        }
    )


def _rates(price: dict[str, Any]) -> str:
    return ", ".join(
        f"{dollars_text(price[n])} {shown}" for n, shown in _RATES.items() if price.get(n) is not None
    )


def _rate(price: dict[str, Any] | None, name: str) -> str:
    rate = (price or {}).get(name)
    return "-" if rate is None else dollars_text(rate)
