"""A file that a model writes in a leaked call costs work in proportion to its length: the event loop waits for it."""

import json
import sys
from types import FrameType
from typing import Any

import pytest

from controlplane.protocols.ir import Stop, Text, ToolArgs
from controlplane.protocols.rescue.rescuer import Rescuer
from tests.unit.controlplane.protocols.rescue.samples import TOOLS

CODE = 'for a in b[1:]: c[a] = {"d": [e(a)]}; f(")", <g>)\n'


def leaks(lines: int) -> dict[str, str]:
    code = CODE * lines
    arguments = json.dumps({"path": "x.py", "content": code})
    call = json.dumps({"name": "write_file", "arguments": {"path": "x.py", "content": code}})
    return {
        "hermes": f"<tool_call>\n{call}\n</tool_call>",
        "qwen_xml": "<tool_call>\n<function=write_file>\n<parameter=path>\nx.py\n</parameter>\n"
        f"<parameter=content>\n{code}\n</parameter>\n</function>\n</tool_call>",
        "pythonic": f'[write_file(path="x.py", content={json.dumps(code)})]',
        "mistral": f'[TOOL_CALLS][{{"name": "write_file", "arguments": {arguments}}}]',
        "llama_json": json.dumps({"name": "write_file", "parameters": json.loads(arguments)}),
        "harmony": "<|channel|>commentary to=functions.write_file <|constrain|>json<|message|>"
        f"{arguments}<|call|>",
    }


def work(leak: str) -> int:
    """How many functions are called to mend it, in Python and in C."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    rescuer = Rescuer(tools=TOOLS.values(), seed="s")
    pieces = [[Text(leak[at : at + 4])] for at in range(0, len(leak), 4)]
    sys.setprofile(count)
    try:
        out = [delta for piece in pieces for delta in rescuer.feed(piece)]
        out += rescuer.feed([Stop("stop")]) + rescuer.end()
    finally:
        sys.setprofile(None)
    arguments = "".join(delta.text for delta in out if isinstance(delta, ToolArgs))
    assert json.loads(arguments)["path"] == "x.py"
    return calls


@pytest.mark.parametrize("form", leaks(1))
def test_a_leak_of_four_times_the_length_is_at_most_five_times_the_work(form: str):
    assert work(leaks(80)[form]) < 5 * work(leaks(20)[form])
