"""Leaks as real models write them, and what has to become of them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from controlplane.protocols.ir import Delta, Reasoning, Stop, Text, ToolArgs, ToolStart
from controlplane.protocols.rescue import Rescuer
from tests.unit.controlplane.protocols.deltas import joined
from tests.unit.controlplane.protocols.rescue.samples import TOOLS

FOLDER = Path(__file__).resolve().parents[5] / "tests" / "golden" / "rescue"
CASES = [
    pytest.param(case, id=f"{file.stem}: {case['name']}")
    for file in sorted(FOLDER.glob("*.yaml"))
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
]


def read(piece: Any) -> Delta:
    match piece:
        case str():
            return Text(piece)
        case {"reasoning": text}:
            return Reasoning(text)
        case {"start": [index, id, name]}:
            return ToolStart(index, id, name)
        case {"args": [index, text]}:
            return ToolArgs(index, text)
        case _:
            raise AssertionError(piece)


def by_character(deltas: list[Delta]) -> list[Delta]:
    made: list[Delta] = []
    for delta in deltas:
        match delta:
            case Text(text):
                made += [Text(mark) for mark in text]
            case Reasoning(text):
                made += [Reasoning(mark) for mark in text]
            case ToolArgs(index, text):
                made += [ToolArgs(index, mark) for mark in text]
            case _:
                made.append(delta)
    return made


def told(deltas: list[Delta], expected: list[Any]) -> list[Any]:
    """The deltas as the golden files write them; ids only where they are expected."""
    made: list[Any] = []
    calls: dict[int, list[Any]] = {}
    for delta in joined(delta for delta in deltas if delta != Text("")):
        match delta:
            case Text(text):
                made.append({"text": text})
            case Reasoning(text):
                made.append({"reasoning": text})
            case ToolStart(index, id, name):
                calls[index] = [name, "", id]
                made.append({"call": calls[index]})
            case ToolArgs(index, text):
                calls[index][1] += text
            case Stop(reason):
                made.append({"stop": reason})
            case _:
                made.append(delta)
    assert list(calls) == list(range(len(calls))), "calls are numbered in order"
    ids = [call[2] for call in calls.values()]
    assert all(ids) and len(set(ids)) == len(ids), "each call has an id of its own"
    for place, said in enumerate(made):
        want = expected[place] if place < len(expected) else {}
        if "call" in said and "raw" in want:
            made[place] = {"raw": said["call"]}
        elif "call" in said:
            said["call"][1] = msgspec.json.decode(said["call"][1])
            if len(want.get("call", ())) == 2:
                said["call"].pop()
    return made


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cut", ["as it came", "by character", "in one"])
def test_a_leak_becomes_what_the_model_meant(case: dict[str, Any], cut: str):
    came = [read(piece) for piece in case["pieces"]]
    came = {"as it came": came, "by character": by_character(came), "in one": joined(came)}[cut]
    tools = [TOOLS[name] for name in case.get("tools", TOOLS)]
    modes = {mode: case[mode] for mode in ("whole", "thinking") if mode in case}
    rescuer = Rescuer(tools=tools, seed="s", **modes)
    out = rescuer.feed([*came, Stop(case.get("stop", "stop"))]) + rescuer.end()
    assert told(out, case["out"]) == case["out"]
    counted = {kind: count for kind, count in rescuer.rescued.items() if kind != "stop_reason"}
    assert counted == case["rescued"]
