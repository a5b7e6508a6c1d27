"""Whose a thought is, told by its signature."""

import pytest

from controlplane.protocols.signatures import given_to_gemini, whose


@pytest.mark.parametrize(
    ("signature", "vendor"),
    [
        ("gAAAAABpIAAAvEyUXV-9yMdL5P2AbXu3J6NKJSfG527e", "openai"),
        ("gAAAAABo" + "aZ_-" * 40 + "==", "openai"),
        ("", ""),
        ("c2lnbmVk", "anthropic"),
        ("EuYBCkYIBxgCKkBlTm9" + "A" * 80, "anthropic"),
        ("CiQBy8dSpAAAA" + "b" * 60, "anthropic"),
        ("gAAAAA not base64 " + "a" * 30, "anthropic"),
        ("gAAAAA", "anthropic"),
        ("gemini:c2ln", "gemini"),
        ("gemini:no base64 at all", "gemini"),
    ],
)
def test_each_vendor_knows_its_own(signature: str, vendor: str):
    assert whose(signature) == vendor


@pytest.mark.parametrize(
    ("signature", "given"),
    [("gemini:c2ln", "c2ln"), ("gemini:no base64 at all", ""), ("c2ln", ""), ("gemini:", ""), ("", "")],
)
def test_gemini_is_given_back_what_it_made_and_nothing_else(signature: str, given: str):
    assert given_to_gemini(signature) == given
