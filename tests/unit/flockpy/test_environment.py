"""What children of ours inherit."""

import pytest

from flockpy.environment import for_agent, for_engine, vendor_secrets

HARMLESS = {"PATH": "/bin", "HOME": "/h", "LANG": "C", "CUDA_VISIBLE_DEVICES": "0"}


@pytest.mark.parametrize(
    "name",
    [
        *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "OPENAI_ORG_ID", "openai_api_key"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
        *("AWS_BEARER_TOKEN_BEDROCK", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GOOGLE_API_KEY", "CLOUDSDK_CONFIG"),
    ],
)
def test_what_opens_a_vendor_is_the_leaders_alone(name: str):
    environ = {**HARMLESS, name: "x"}
    assert for_agent(environ) == HARMLESS
    assert for_engine(environ) == HARMLESS


@pytest.mark.parametrize("name", ["FLOCK_DATA_DIR", "VLLM_API_KEY", "HF_TOKEN", "LLAMA_ARG_HOST"])
def test_what_the_agent_needs_it_has_and_engines_have_not(name: str):
    environ = {"PATH": "/bin", name: "x"}
    assert for_agent(environ) == environ
    assert for_engine(environ) == {"PATH": "/bin"}


def test_a_proxys_password_is_not_the_engines():
    environ = {"HTTPS_PROXY": "http://me:word@proxy:3128", "http_proxy": "http://proxy:3128", "NO_PROXY": "*"}
    assert for_agent(environ) == environ
    assert for_engine(environ) == {"http_proxy": "http://proxy:3128", "NO_PROXY": "*"}


def test_the_secrets_among_them_are_known():
    environ = {"OPENAI_API_KEY": "a", "AWS_REGION": "b", "AWS_SESSION_TOKEN": "c", "MY_KEY": "d"}
    assert vendor_secrets(environ) == ("a", "c")
