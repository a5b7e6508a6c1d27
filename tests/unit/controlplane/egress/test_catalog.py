"""What the catalog lists of a vendor can be asked of it."""

from typing import cast

import pytest

from controlplane.egress.anthropic import Anthropic
from controlplane.egress.aws import Credentials
from controlplane.egress.base import Vendor
from controlplane.egress.bedrock import Bedrock
from controlplane.egress.google import TokenSource
from controlplane.egress.openai import OpenAI
from controlplane.egress.vertex import Vertex
from flockpy.catalog import folders, load_vendors

VENDORS: list[Vendor] = [
    Anthropic("key", "https://api.anthropic.com"),
    OpenAI("key"),
    Bedrock("us-east-1", cast("Credentials", None)),
    Vertex("project-1", "us-central1", cast("TokenSource", None)),
]


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_a_vendor_claims_every_model_that_is_listed_of_it_and_serves_it_somehow(
    vendor: Vendor,
):
    for model in load_vendors(folders()).listed(vendor.name):
        assert vendor.claims(model.id), model.id
        surface = "embeddings" if "embedding" in model.capabilities else "chat"
        assert vendor.manner(surface, model.id), model.id
