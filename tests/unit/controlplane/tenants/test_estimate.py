"""The guess of a prompt's tokens errs high, and learns."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.tenants.estimate import TEMPLATE_TOKENS, UNKNOWN, estimate, learn


def test_an_unknown_model_has_three_bytes_a_token_and_a_template():
    assert estimate(UNKNOWN, 3000, 0) == TEMPLATE_TOKENS + 1000


def test_no_prompt_is_longer_than_the_window():
    assert estimate(UNKNOWN, 10_000_000, 8192) == 8192


def test_a_prompt_of_more_tokens_than_guessed_is_believed_at_once():
    assert estimate(learn(UNKNOWN, 1000, 900), 1000, 0) >= 900


def test_short_prompts_teach_nothing():
    assert learn(UNKNOWN, 60, 59) == UNKNOWN


@given(st.floats(0.2, 0.9), st.lists(st.integers(512, 100_000), min_size=1, max_size=200))
def test_steady_text_is_never_guessed_low_after_the_first_answer(density: float, sizes: list[int]):
    ratio = learn(UNKNOWN, sizes[0], int(sizes[0] * density))
    for size in sizes[1:]:
        tokens = int(size * density)
        assert estimate(ratio, size, 0) >= tokens
        ratio = learn(ratio, size, tokens)


def test_the_guess_comes_down_to_a_quarter_above_what_is_seen():
    ratio = 2.0
    for _ in range(200):
        ratio = learn(ratio, 1000, 300)
    assert 0.37 < ratio < 0.38


def test_images_do_not_teach_that_text_is_free():
    ratio = UNKNOWN
    for _ in range(200):
        ratio = learn(ratio, 1_000_000, 300)
    assert ratio == 0.2
