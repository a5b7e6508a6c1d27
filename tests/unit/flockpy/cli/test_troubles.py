"""What is wrong is told where people look: status, lists of models, doctor, why."""

from pathlib import Path
from typing import Any

import pytest

from flockpy.cli import leader_checks
from flockpy.settings import load
from tests.unit.flockpy.cli.conftest import Flockpy
from tests.unit.flockpy.cli.samples import MODEL, NODE
from tests.unit.flockpy.cli.stub_leader import StubLeader

BROKEN = {"id": "p_2", "model_id": "demo", "node_id": "n_1", "state": "failed", "reason": "no such tensor"}
STATUS = {"role": "leader", "version": "1", "engines": {"embedded": 1, "mlx": 1}, "degraded": None}


def models(state: str, **more: Any) -> dict[str, Any]:
    return MODEL | {"state": state, "placements": [BROKEN]} | more


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (models("loading"), "demo is tried again: no such tensor\n"),
        (models("failed", reason="it gave up"), "demo failed: it gave up\n"),
        (models("serving"), "demo failed in one place: no such tensor\n"),
    ],
)
def test_status_lists_and_doctor_say_why_a_model_is_not_served(
    flockpy: Flockpy, leader: StubLeader, home: Path, monkeypatch: pytest.MonkeyPatch, model: Any, told: str
):
    leader.items("/models", model)
    leader.items("/nodes", NODE)
    leader.items("/vendors")
    leader.answers["GET /status"] = (200, STATUS)
    for command in (["status"], ["model", "ls"]):
        assert told in flockpy(*command).out
    monkeypatch.setattr(leader_checks, "holder", lambda lock: True)
    monkeypatch.setattr(leader_checks, "url_here", lambda settings: leader.url)
    (found,) = leader_checks.models(load({"HOME": str(home)}))
    assert (found.state, found.message) == ("problem", told.strip())
    assert "flockpy model load demo" in found.mend


def test_doctor_does_not_say_to_load_what_another_program_serves(
    leader: StubLeader, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(leader_checks, "holder", lambda lock: True)
    monkeypatch.setattr(leader_checks, "url_here", lambda settings: leader.url)
    leader.items("/models", models("failed") | {"placements": [BROKEN | {"adopted": True}]})
    (found,) = leader_checks.models(load({"HOME": str(home)}))
    assert "model load" not in found.mend


def test_status_says_its_role_and_which_engines_can_run(flockpy: Flockpy, leader: StubLeader):
    leader.items("/models", MODEL)
    leader.items("/nodes", NODE)
    leader.items("/vendors")
    leader.answers["GET /status"] = (200, STATUS)
    said = flockpy("status").out
    assert "role     leader\n" in said
    assert "engines  embedded, mlx\n" in said
    assert flockpy("status", "--json").document["engines"] == {"embedded": 1, "mlx": 1}


def test_doctor_says_what_cannot_be_written_down(
    leader: StubLeader, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(leader_checks, "holder", lambda lock: True)
    monkeypatch.setattr(leader_checks, "url_here", lambda settings: leader.url)
    leader.answers["GET /status"] = (200, STATUS | {"degraded": "the usage journal cannot be written"})
    (found,) = leader_checks.records(load({"HOME": str(home)}))
    assert (found.state, found.message) == ("problem", "the usage journal cannot be written")
    leader.answers["GET /status"] = (200, STATUS)
    assert list(leader_checks.records(load({"HOME": str(home)}))) == []


def test_why_says_what_a_client_was_told_instead_of_an_answer(flockpy: Flockpy, leader: StubLeader):
    receipt = {"asked_model": "demo", "error": "model demo cannot be served", "hops": [], "attempts": []}
    leader.answers["GET /requests/req_1"] = (200, {"request_id": "req_1", "status": 503, "receipt": receipt})
    assert "error        model demo cannot be served\n" in flockpy("why", "req_1").out


def test_the_path_of_the_configuration_is_a_document_too(flockpy: Flockpy, home: Path):
    assert flockpy("config", "path", "--json").document == {
        "path": str(home / ".flock/config.yaml"),
        "exists": False,
    }
