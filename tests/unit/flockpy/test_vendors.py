"""What vendors' models cost, and how they are found."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flockpy.catalog import folders, load_vendors, shipped_chains
from flockpy.errors import StartError
from flockpy.globs import is_glob
from flockpy.vendors import LongRates, Price, VendorCatalog, VendorFile, parse

BUNDLED = load_vendors(folders())
VENDORS = ("anthropic", "openai", "bedrock", "vertex")
TOKENS = st.integers(0, 2_000_000)

GOOD: dict[str, Any] = {
    "id": "openai",
    "sources": ["https://prices.example"],
    "as_of": "2026-11-22",
    "models": [
        {
            "id": "gpt-x",
            "context_window": 1000,
            "max_output": 100,
            "capabilities": ["chat"],
            "price": {"input": 1, "output": 2},
        }
    ],
}


def with_models(*models: dict[str, Any], vendor: str = "openai") -> VendorFile:
    whole = [GOOD["models"][0] | model for model in models]
    return parse(GOOD | {"id": vendor, "models": whole}, "some/file.yaml")


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_bundled_model_is_described_as_one_would_expect(vendor: str):
    models = BUNDLED.models[vendor].values()
    assert models
    for model in models:
        price = model.price
        assert 0 < price.input < 100
        assert price.input <= price.output or "embedding" in model.capabilities
        assert (price.cache_read or 0) <= price.input <= (price.cache_write or price.input)
        assert model.max_output < model.context_window
        if price.long is not None:
            assert price.input < price.long.input
            assert price.output < price.long.output
            assert (price.cache_read is None) == (price.long.cache_read is None)
            assert (price.cache_write is None) == (price.long.cache_write is None)
            assert price.long.above < model.context_window


def test_clients_that_ask_for_the_models_they_have_built_in_are_told_what_these_cost():
    for asked in ("claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5-20251001", "claude-haiku-4-5"):
        assert BUNDLED.find("anthropic", asked), asked
    for asked in ("gpt-5.5", "gpt-5.5-2026-04-23", "gpt-4o-mini", "text-embedding-3-small"):
        assert BUNDLED.find("openai", asked), asked


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_is_listed_can_be_asked_for(vendor: str):
    for model in BUNDLED.listed(vendor):
        assert not is_glob(model.id)
        found = BUNDLED.find(vendor, model.id)
        assert found is not None
        assert found.id == model.id


def test_cost_counts_each_kind_of_token_once():
    price = Price(input=2, output=10, cache_read=0.2, cache_write=2.5)
    cost = price.cost(1_000_000, 100_000, cached_tokens=500_000, cache_written_tokens=200_000)
    assert cost == pytest.approx(0.3 * 2 + 0.5 * 0.2 + 0.2 * 2.5 + 0.1 * 10)


def test_a_long_prompt_costs_more_for_all_of_its_tokens():
    price = Price(input=1, output=2, long=LongRates(input=2, output=3, above=100))
    assert price.cost(100, 10) == pytest.approx((100 + 20) / 1e6)
    assert price.cost(101, 10) == pytest.approx((202 + 30) / 1e6)


@given(TOKENS, TOKENS, TOKENS, TOKENS)
def test_a_cost_is_never_less_than_nothing_whatever_a_vendor_counts(
    prompt: int, completion: int, cached: int, written: int
):
    price = Price(input=2, output=10, cache_read=0.2, cache_write=2.5)
    assert price.cost(prompt, completion, cached, written) >= 0


@given(TOKENS, TOKENS)
def test_a_cache_without_a_rate_of_its_own_costs_what_input_costs(prompt: int, completion: int):
    price = Price(input=2, output=10)
    assert price.cost(prompt, completion, prompt, 0) == pytest.approx(price.cost(prompt, completion))
    assert price.cost(prompt, completion, 0, prompt) == pytest.approx(price.cost(prompt, completion))


def test_an_exact_id_goes_before_a_glob_and_a_longer_glob_before_a_shorter_one():
    file = with_models(
        {"id": "gpt-*", "max_output": 1},
        {"id": "gpt-5*", "max_output": 2},
        {"id": "gpt-5.5", "max_output": 3},
    )
    catalog = VendorCatalog.of([file])
    for asked, expected in (("gpt-5.5", 3), ("gpt-5.4", 2), ("gpt-4", 1)):
        found = catalog.find("openai", asked)
        assert found is not None
        assert found.max_output == expected
    assert catalog.find("openai", "o3") is None
    assert catalog.find("anthropic", "gpt-5.5") is None
    assert catalog.find("nobody", "gpt-5.5") is None
    assert [model.id for model in catalog.listed("openai")] == ["gpt-5.5"]


@pytest.mark.parametrize("region", ["", "us.", "eu.", "apac.", "global.", "us-gov.", "jp."])
def test_a_bedrock_model_is_found_whatever_its_region(region: str):
    found = BUNDLED.find("bedrock", f"{region}anthropic.claude-opus-4-8")
    assert found is not None
    assert found.id == "global.anthropic.claude-opus-4-8"
    premium = 1.0 if region == "global." else 1.1
    assert found.price.input == pytest.approx(5 * premium)
    assert found.price.cache_write == pytest.approx(6.25 * premium)


def test_a_bedrock_vendor_that_looks_like_a_region_is_none():
    catalog = VendorCatalog.of([with_models({"id": "ai21.jamba"}, {"id": "v3.2"}, vendor="bedrock")])
    assert catalog.find("bedrock", "ai21.jamba")
    assert catalog.find("bedrock", "deepseek.v3.2") is None


@pytest.mark.parametrize(("location", "premium"), [("global", 1.0), ("", 1.0), ("us-central1", 1.1)])
def test_claude_on_vertex_costs_more_in_a_region_and_gemini_does_not(location: str, premium: float):
    haiku = BUNDLED.find("vertex", "claude-haiku-4-5@20251001", location)
    flash = BUNDLED.find("vertex", "gemini-2.5-flash", location)
    assert haiku is not None
    assert flash is not None
    assert haiku.price.input == pytest.approx(1 * premium)
    assert flash.price.input == pytest.approx(0.3)


def test_a_version_of_a_claude_on_vertex_need_not_be_known():
    assert BUNDLED.find("vertex", "claude-opus-4-8@20260601")
    assert BUNDLED.find("vertex", "claude-opus-4-8@default")
    assert BUNDLED.find("vertex", "claude-haiku-4-5")
    assert BUNDLED.find("vertex", "claude-haiku-4-5@20260101")


def test_a_glob_fits_a_bedrock_model_of_any_region():
    for asked in (
        "anthropic.claude-haiku-5-5",
        "us.anthropic.claude-haiku-5-5",
        "global.anthropic.claude-haiku-5-5-v1:0",
    ):
        assert BUNDLED.find("bedrock", asked), asked


def test_what_is_asked_for_is_no_pattern():
    assert BUNDLED.find("bedrock", "anthropic.claude-haiku-5-5*")  # fits itself
    assert BUNDLED.find("openai", "gpt-*") is None


def test_a_scaled_price_scales_its_long_rates_too():
    long = BUNDLED.models["bedrock"]["anthropic.claude-haiku-5-5*"].price.times(2).long
    assert long is not None
    assert (long.above, long.input, long.cache_write) == (100_000, 1.0, 1.25)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "acme"}, "id"),
        ({"sources": []}, "sources"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"colour": "red"}, "colour"),
        ({"models": [{"id": "x"}]}, "models[0]"),
        ({"models": [GOOD["models"][0] | {"price": {"input": -1, "output": 1}}]}, "models[0].price.input"),
        ({"models": [GOOD["models"][0] | {"price": {"input": 1}}]}, "models[0].price"),
        ({"models": [GOOD["models"][0] | {"capabilities": ["juggling"]}]}, "models[0].capabilities[0]"),
        ({"models": [GOOD["models"][0] | {"id": "two words"}]}, "models[0].id"),
        ({"models": [GOOD["models"][0], GOOD["models"][0]]}, "models[1].id"),
        ({"models": [GOOD["models"][0] | {"regional": 0.5}]}, "models[0].regional"),
    ],
)
def test_a_file_that_is_wrong_names_itself_and_the_field(change: dict[str, Any], field: str):
    with pytest.raises(StartError) as error:
        parse(GOOD | change, "some/file.yaml")
    assert "some/file.yaml" in error.value.message
    assert field in error.value.message


def write(folder: Path, shelf: str, name: str, content: object) -> None:
    (folder / shelf).mkdir(exist_ok=True, parents=True)
    (folder / shelf / f"{name}.yaml").write_text(yaml.safe_dump(content))


def test_a_configured_folder_comes_over_the_bundled_one_model_by_model(tmp_path: Path):
    mine = GOOD["models"][0] | {"price": {"input": 0.01, "output": 0.02}}
    models = [mine | {"id": "gpt-4o", "fallback": ["qwen3"]}, mine | {"id": "gpt-mine"}]
    write(tmp_path, "vendors", "openai", GOOD | {"models": models})
    catalog = load_vendors(folders(str(tmp_path)))
    for asked, price in (("gpt-4o", 0.01), ("gpt-mine", 0.01), ("gpt-4o-mini", 0.15)):
        found = catalog.find("openai", asked)
        assert found is not None
        assert found.price.input == price
    assert catalog.find("anthropic", "claude-opus-4-8")


def test_a_file_is_one_vendor_and_has_its_name(tmp_path: Path):
    write(tmp_path, "vendors", "other", GOOD)
    with pytest.raises(StartError, match=r"other\.yaml: `id`"):
        load_vendors(folders(str(tmp_path)))


def test_a_file_that_is_no_yaml_says_in_which_line(tmp_path: Path):
    (tmp_path / "vendors").mkdir()
    (tmp_path / "vendors" / "openai.yaml").write_text("id: openai\nmodels: [")
    with pytest.raises(StartError, match=r"openai\.yaml:2: not YAML"):
        load_vendors(folders(str(tmp_path)))


def test_chains_come_from_models_too(tmp_path: Path):
    write(tmp_path, "models", "qwen3", {"id": "qwen3", "size": "4b", "fallback": ["llama3"]})
    write(tmp_path, "models", "plain", {"id": "plain"})
    assert dict(shipped_chains(folders(str(tmp_path)))) == {"qwen3": ("llama3",)}


def test_a_chain_that_is_no_list_names_the_file_and_the_field(tmp_path: Path):
    write(tmp_path, "models", "qwen3", {"id": "qwen3", "fallback": "llama3"})
    with pytest.raises(StartError, match=r"qwen3\.yaml: `fallback`"):
        shipped_chains(folders(str(tmp_path)))
