"""The vendors' clouds, simulated."""

from collections.abc import Iterator

import pytest

from tests.simulators.openai_vendor import OpenAiVendor, openai_vendor


@pytest.fixture(scope="module")
def openai_cloud() -> Iterator[OpenAiVendor]:
    with openai_vendor() as vendor:
        yield vendor


@pytest.fixture
def cloud(openai_cloud: OpenAiVendor) -> OpenAiVendor:
    openai_cloud.script()
    openai_cloud.fails_softly = False
    return openai_cloud
