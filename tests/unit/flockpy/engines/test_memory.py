"""How much memory a model is said to take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flockpy.engines import memory
from flockpy.placement import EngineOptions

GIB = 2**30
LLAMA_8B = 32 * 8 * (128 + 128)  # layers x key-value heads x (key + value) width


@pytest.mark.parametrize(("cache", "per_token"), [("f16", 131_072.0), ("q8_0", 69_632.0), ("q4_0", 36_864.0)])
def test_a_token_of_an_8b_model_takes_what_llama_cpp_allocates(cache: str, per_token: float):
    assert memory.per_token(LLAMA_8B, cache) == per_token


def test_an_8b_model_with_a_long_context_takes_weights_plus_cache():
    options = EngineOptions(context=100_000, slots=2, kv_cache="q4_0")
    estimate = memory.estimate(5 * GIB, LLAMA_8B, options)
    assert 12 * GIB < estimate < 13 * GIB


contexts = st.integers(1, 2_000_000)


@given(size=st.integers(0, 100 * GIB), each=st.integers(0, 10**6), wanted=contexts, slots=st.integers(1, 8),
       room=st.integers(0, 200 * GIB))  # fmt: skip
def test_a_context_that_fits_is_never_more_than_asked_nor_than_fits(
    size: int, each: int, wanted: int, slots: int, room: int
):
    options = EngineOptions(context=wanted, slots=slots)
    context = memory.context_that_fits(size, each, options, room)
    assert 0 < context <= wanted
    fits = memory.estimate(size, each, EngineOptions(context=context, slots=slots)) <= room
    assert fits or each == 0 or context <= memory.SMALLEST_CONTEXT
