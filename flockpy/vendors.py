"""What vendors' models are, and what asking them costs, as the files in ``catalog/vendors`` say. Pure."""

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from flockpy.entries import Part, fit, wrong
from flockpy.globs import fits, is_glob
from flockpy.known_vendors import VendorName
from flockpy.placement import Capability

Dollars = Annotated[float, Meta(ge=0)]
"""US dollars for a million tokens."""
Id = Annotated[str, Meta(pattern=r"^[!-~]{1,200}$")]


class Rates(Part, frozen=True):
    """What tokens cost. A cache's rate that is not given is that of `input`."""

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None


class LongRates(Rates, frozen=True, kw_only=True):
    """What all the tokens of a request cost whose prompt has more than `above` of them."""

    above: Annotated[int, Meta(ge=1)]


class Price(Rates, frozen=True):
    long: LongRates | None = None

    def cost(
        self,
        prompt_tokens: int,
        completion_tokens: int,
        cached_tokens: int = 0,
        cache_written_tokens: int = 0,
    ) -> float:
        """US dollars of one request. `prompt_tokens` are all of the prompt: those read from a cache and those written
        into one too. To nine decimals, which is finer than any price."""
        rates: Rates = self.long if self.long is not None and prompt_tokens > self.long.above else self
        read = rates.input if rates.cache_read is None else rates.cache_read
        written = rates.input if rates.cache_write is None else rates.cache_write
        fresh = max(prompt_tokens - cached_tokens - cache_written_tokens, 0)
        millionths = (
            fresh * rates.input
            + cached_tokens * read
            + cache_written_tokens * written
            + completion_tokens * rates.output
        )
        return round(millionths / 1e6, 9)

    def times(self, factor: float) -> "Price":
        """Every rate multiplied."""
        long = self.long
        return Price(
            *_scaled(self, factor),
            long=None if long is None else LongRates(*_scaled(long, factor), above=long.above),
        )


class VendorModel(Part, frozen=True):
    """A model of a vendor, or a family of them where `id` has a ``*`` in it. Windows in tokens.

    `price` is that of the vendor's global endpoint, `regional` what it is multiplied by anywhere else.
    `fallback`: models to ask when this one cannot answer, in order.
    """

    id: Id
    context_window: Annotated[int, Meta(ge=1)]
    max_output: Annotated[int, Meta(ge=0)]
    capabilities: Annotated[tuple[Capability, ...], Meta(min_length=1)]
    price: Price
    regional: Annotated[float, Meta(ge=1)] = 1.0
    fallback: tuple[Id, ...] = ()


class VendorFile(Part, frozen=True):
    """One vendor. `sources` are where the facts are from, and `as_of` the day on which they were looked up."""

    id: VendorName
    sources: Annotated[tuple[str, ...], Meta(min_length=1)]
    as_of: datetime.date
    models: tuple[VendorModel, ...]


def parse(content: object, source: str) -> VendorFile:
    """The vendor that the decoded YAML of the file `source` describes.

    Raises StartError that names the file and the field.
    """
    file = fit(content, VendorFile, source)
    seen: set[str] = set()
    for number, model in enumerate(file.models):
        if model.id in seen:
            raise wrong(source, f"models[{number}].id", f"{model.id} stands in the file twice")
        seen.add(model.id)
    return file


@dataclass(frozen=True, slots=True)
class VendorCatalog:
    """All vendors' models, by vendor and then by id; `plain`: by the id without region and version."""

    models: Mapping[str, Mapping[str, VendorModel]]
    plain: Mapping[str, Mapping[str, VendorModel]]

    @staticmethod
    def of(files: Iterable[VendorFile]) -> "VendorCatalog":
        """The catalog of these files; a later one's models come over an earlier one's of the same id."""
        models: dict[str, dict[str, VendorModel]] = {}
        for file in files:
            models.setdefault(file.id, {}).update((model.id, model) for model in file.models)
        plain = {
            vendor: {_plain(vendor, id): model for id, model in known.items()}
            for vendor, known in models.items()
        }
        return VendorCatalog(models, plain)

    def find(self, vendor: str, model: str, location: str = "") -> VendorModel | None:
        """What is known of a vendor's model: by its exact id, else by the longest glob that fits.

        Bedrock's region (``us.``) and Vertex's version (``@20251001``) may be others than in the catalog, or missing.
        `location` is where Vertex is asked; Bedrock's is read from the id. The price is the one that holds there.
        """
        known, plain = self.models.get(vendor, {}), _plain(vendor, model)
        found = None if is_glob(model) else known.get(model) or self.plain.get(vendor, {}).get(plain)
        if found is None:
            globs = [id for id in known if is_glob(id) and (fits(id, model) or fits(id, plain))]
            if not globs:
                return None
            found = known[max(globs, key=len)]
        if found.regional != 1 and _is_regional(vendor, model, location):
            return msgspec.structs.replace(found, price=found.price.times(found.regional))
        return found

    def listed(self, vendor: str) -> tuple[VendorModel, ...]:
        """A vendor's models that have an exact id, in the order of its file."""
        return tuple(model for id, model in self.models.get(vendor, {}).items() if not is_glob(id))


REGION_GROUPS = "global|us|us-gov|eu|apac|jp|au|ca|in|sa|mx|af|me|il"
"""What ids of Bedrock's models may begin with, before a dot: of regions, in any of which a request may be served."""
_REGION = re.compile(rf"({REGION_GROUPS})\.(?=[a-z0-9-]+\.)")


def _plain(vendor: str, model: str) -> str:
    if vendor == "bedrock":
        return _REGION.sub("", model, count=1) if _REGION.match(model) else model
    return model.partition("@")[0] if vendor == "vertex" else model


def _is_regional(vendor: str, model: str, location: str) -> bool:
    if vendor == "bedrock":
        return not model.startswith("global.")
    return bool(location) and location != "global"


def _scaled(rates: Rates, factor: float) -> tuple[float, float, float | None, float | None]:
    return (
        rates.input * factor,
        rates.output * factor,
        None if rates.cache_read is None else rates.cache_read * factor,
        None if rates.cache_write is None else rates.cache_write * factor,
    )
