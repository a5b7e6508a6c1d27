"""Leaders with other credentials for their clouds than the usual ones, or with none."""

import os
from pathlib import Path
from typing import Any

from tests.cluster.clouds import BEDROCKS_CLAUDE, GEMINI, NOVA, clouds
from tests.cluster.test_vendor_clouds import post, said_by
from tests.simulators.aws_wire import Account

NONE = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "GOOGLE_APPLICATION_CREDENTIALS": ""}
MESSAGES = "/v1/messages"


def refused(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert int(answer.headers["retry-after"]) > 0
    return answer.json()["error"]["message"]


def test_a_bearer_key_opens_bedrock(tmp_path: Path):
    account = Account()
    with clouds(tmp_path, **NONE, AWS_BEARER_TOKEN_BEDROCK=account.bearer) as world:
        program = world.stage.program
        answers = [post(program, NOVA), post(program, BEDROCKS_CLAUDE, MESSAGES)]
        assert [answer.status_code for answer in answers] == [200, 200]
        for heard in world.bedrock.state.heard:
            assert heard.headers["authorization"] == f"Bearer {account.bearer}"
        assert account.bearer not in said_by(program)


def test_keys_of_a_session_that_are_wrong_are_the_leaders_to_mend_and_stay_secret(tmp_path: Path):
    """AWS repeats the request as it was signed, with the session's token."""
    token = "canary-of-a-session"
    wrong = {"AWS_SECRET_ACCESS_KEY": "canary/of+a+secret", "AWS_SESSION_TOKEN": token}
    with clouds(tmp_path, FLOCK_LOG_LEVEL="debug", **wrong) as world:
        world.of_bedrock(account=Account(token=token))
        program = world.stage.program
        for path, status in (("/v1/chat/completions", 503), (MESSAGES, 529)):
            assert "its log says why" in refused(post(program, BEDROCKS_CLAUDE, path), status)
        assert "The request signature we calculated does not match" in program.said()
        said = said_by(program)
        assert [secret for secret in (token, wrong["AWS_SECRET_ACCESS_KEY"]) if secret in said] == []


def test_without_credentials_it_is_said_how_to_give_some(tmp_path: Path):
    with clouds(tmp_path, **NONE) as world:
        program = world.stage.program
        for path, status in (("/v1/chat/completions", 503), (MESSAGES, 529)):
            assert "AWS_BEARER_TOKEN_BEDROCK" in refused(post(program, NOVA, path), status)
            assert "gcloud auth application-default login" in refused(post(program, GEMINI, path), status)
        assert not world.bedrock.state.heard and not world.vertex.state.heard


def test_without_their_libraries_it_is_said_what_is_missing(tmp_path: Path):
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    hidden = "import sys\nsys.modules |= dict.fromkeys(('botocore', 'google.auth'))\n"
    (lacking / "sitecustomize.py").write_text(hidden)
    found = os.pathsep.join(filter(None, (str(lacking), os.environ.get("PYTHONPATH"))))
    with clouds(tmp_path, PYTHONPATH=found) as world:
        program = world.stage.program
        for path, status in (("/v1/chat/completions", 503), (MESSAGES, 529)):
            for model in (NOVA, GEMINI):
                assert "flockpy doctor names the command" in refused(post(program, model, path), status)
        doctor = program.cli("doctor").stdout
        assert "botocore" in doctor and "google-auth" in doctor
