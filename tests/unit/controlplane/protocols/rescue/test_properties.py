"""What holds for any answer, however it is cut."""

import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.protocols.ir import (
    Counted,
    Delta,
    Failure,
    Progress,
    Reasoning,
    Stop,
    Text,
    ToolArgs,
    ToolStart,
    fold,
)
from controlplane.protocols.rescue import Kind, Rescuer
from flockpy.errors import EngineDied
from tests.unit.controlplane.protocols import deltas
from tests.unit.controlplane.protocols.rescue.samples import TOOLS

ALL = list(TOOLS.values())
NOW = '{"name": "now", "arguments": {}}'
SNIPPETS = (
    *("<tool_call>", "</tool_call>", "<function=now>", "<function=write_file>\n", "</function>", "\n", "\n\n"),
    *("<parameter=path>\n", "<parameter=content>", "</parameter>", NOW, '{"name": "get_weather", "arguments": {'),
    *('"city": "Paris"', "}}", "}", ",", "'", '"', "\\", "[now()]", "[get_weather(city='P')", "]", "[TOOL_CALLS]"),
    *("now[ARGS]{}", "<|python_tag|>", "<|channel|>", "analysis", "commentary to=functions.now", "<|message|>"),
    *("<|end|>", "<|start|>assistant", "<|call|>", "<think>", "</think>", "[THINK]", "```", "`", " ", "x"),
    *("&lt;tool_call&gt;", "&quot;", "&", "&lt;/tool_call&gt;", "&amp;lt;tool_call", "<", "{"),
    *('<invoke name="now">', "</invoke>", '<parameter name="path">', "<minimax:tool_call>\n"),
    *("[", "text ", "{}", "é", "\u2028"),
)  # fmt: skip
LEAKS = tuple(
    "".join(piece for piece in case["pieces"] if isinstance(piece, str))
    for file in sorted((Path(__file__).resolve().parents[5] / "tests" / "golden" / "rescue").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A leak out of the corpus that begins, ends or goes on differently."""
    leak = draw(st.sampled_from(LEAKS))
    at, to = sorted(draw(st.tuples(st.integers(0, len(leak)), st.integers(0, len(leak)))))
    how = draw(st.sampled_from(("cut", "without", "twice", "odd", "as it is")))
    odd = draw(st.sampled_from(SNIPPETS))
    return {
        "cut": leak[:to],
        "without": leak[:at] + leak[at + 1 :],
        "twice": leak[:to] + leak[at:],
        "odd": leak[:at] + odd + leak[at:],
        "as it is": odd + leak,
    }[how]


soup = damaged() | st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=3)), max_size=14).map(
    "".join
)
REASONS = st.sampled_from(("stop", "length", "tool_calls", "content_filter"))


@st.composite
def in_pieces(draw: st.DrawFn, whole: str) -> list[str]:
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]


def through(rescuer: Rescuer, came: Iterable[Delta]) -> list[Delta]:
    out: list[Delta] = []
    for delta in came:
        out += rescuer.feed([delta])
    return deltas.joined([*out, *rescuer.end()])


def said(out: Iterable[Delta]) -> list[Delta]:
    return [delta for delta in out if getattr(delta, "text", "x")]


@given(st.data(), soup, soup, REASONS, st.booleans(), st.booleans())
@settings(max_examples=120)
def test_where_an_answer_is_cut_does_not_matter(data, thoughts, text, reason, whole, thinking):
    made: list[tuple[list[Delta], dict[str, int]]] = []
    ways = ([thoughts], [text]), (list(thoughts), list(text))
    for reasoning, content in (*ways, (data.draw(in_pieces(thoughts)), data.draw(in_pieces(text)))):
        rescuer = Rescuer(tools=ALL, seed="s", whole=whole, thinking=thinking)
        came = [*map(Reasoning, reasoning), *map(Text, content), Stop(reason)]
        out = said(through(rescuer, [delta for delta in came if getattr(delta, "text", "x")]))
        made.append((out, dict(rescuer.rescued)))
    assert made[0] == made[1] == made[2]


@given(st.data(), soup, REASONS)
@settings(max_examples=120)
def test_text_is_the_same_when_nothing_is_rescued(data, text, reason):
    rescuer = Rescuer(tools=ALL, off=frozenset({"eaten", "stop_reason"}))
    out = through(rescuer, [*map(Text, data.draw(in_pieces(text))), Stop(reason)])
    if not rescuer.rescued:
        assert fold(out).text == text


@given(st.data(), soup)
def test_nothing_is_touched_when_everything_is_off(data, text):
    kinds: frozenset[Kind] = frozenset(Kind.__args__)
    rescuer = Rescuer(tools=ALL, off=kinds)
    assert fold(through(rescuer, [*map(Text, data.draw(in_pieces(text))), Stop("stop")])).text == text
    assert not rescuer.rescued


@given(st.data(), soup)
def test_without_tools_no_text_becomes_a_call(data, text):
    out = through(Rescuer(), [*map(Text, data.draw(in_pieces(text))), Stop("stop")])
    assert not any(isinstance(delta, ToolStart | ToolArgs) for delta in out)


@given(st.data(), soup)
@settings(max_examples=120)
def test_every_rescued_call_is_an_offered_one_with_an_object(data, text):
    answer = fold(through(Rescuer(tools=ALL), [*map(Text, data.draw(in_pieces(text))), Stop("stop")]))
    for call in answer.calls:
        assert call.name in TOOLS
        assert isinstance(msgspec.json.decode(call.arguments), dict)
    assert answer.stop == Stop("tool_calls" if answer.calls else "stop")


@given(st.data(), soup, soup, deltas.answers(blocks=2), REASONS)
def test_what_comes_out_is_a_legal_stream(data, thoughts, text, own, reason):
    """Each call begins once, in order, before its arguments; it ends once, with the reason that its calls make true."""
    came = [*map(Reasoning, data.draw(in_pieces(thoughts))), *map(Text, data.draw(in_pieces(text)))]
    own = [delta for delta in own if not isinstance(delta, Stop | Counted)]
    out = through(Rescuer(tools=ALL), [*came, *own, Stop(reason)])
    begun = 0
    for delta in out:
        if isinstance(delta, ToolStart):
            assert delta.index == begun
            assert delta.id and delta.name
            begun += 1
        elif isinstance(delta, ToolArgs):
            assert delta.index < begun
    assert [delta for delta in out if isinstance(delta, Stop)] == out[-1:]
    stop = fold(out).stop
    assert stop is not None
    assert stop.reason in (
        ("tool_calls", "length", "content_filter") if begun else ("stop", "length", "content_filter")
    )


@given(st.lists(st.text(st.characters(exclude_characters="<[{&`"), min_size=1), max_size=6))
def test_text_without_the_first_character_of_any_tag_is_never_held_back(pieces):
    rescuer = Rescuer(tools=ALL)
    for piece in pieces:
        assert rescuer.feed([Text(piece)]) == [Text(piece)]


@given(st.lists(st.text(st.characters(exclude_characters="<["), min_size=1), max_size=6))
def test_without_tools_only_think_tags_can_hold_text_back(pieces):
    rescuer = Rescuer()
    for piece in pieces:
        assert deltas.joined(rescuer.feed([Text(piece)])) == [Text(piece)]


@given(deltas.answers(signed=True, empty_calls=True))
def test_a_sound_answer_passes_as_it_is(came):
    """But for text and reasoning that hold tags of their own, and ids that were given twice."""
    out = through(Rescuer(tools=ALL, off=frozenset({"eaten"})), came)
    ids = [delta.id for delta in came if isinstance(delta, ToolStart)]
    if len(ids) == len(set(ids)):
        mine, theirs = fold(out), fold(came)
        assert [(call.name, call.arguments.strip()) for call in mine.calls] == [
            (call.name, call.arguments.strip()) for call in theirs.calls
        ]
        assert [call.id for call in mine.calls] == ids
        assert (mine.text, mine.reasoning, mine.signature) == (
            theirs.text,
            theirs.reasoning,
            theirs.signature,
        )
        assert (mine.stop, mine.usage) == (theirs.stop, theirs.usage)


@given(deltas.answers(ids=False))
def test_every_call_has_an_id_of_its_own(came):
    calls = fold(through(Rescuer(tools=ALL, seed="a"), came)).calls
    assert all(call.id.isalnum() and len(call.id) == 9 for call in calls)
    assert len({call.id for call in calls}) == len(calls)


@given(soup)
def test_what_an_engine_said_before_it_died_is_text(text):
    failure = Failure(EngineDied("gone"))
    out = through(Rescuer(tools=ALL, off=frozenset({"think", "harmony"})), [Text(text), failure])
    assert out[-1] is failure
    if not any(isinstance(delta, ToolStart) for delta in out):
        assert "".join(delta.text for delta in out if isinstance(delta, Text)) == text


def test_progress_and_counts_pass_at_once():
    rescuer = Rescuer(tools=ALL)
    assert rescuer.feed([Text("<tool_"), Progress(1, 2)]) == [Progress(1, 2)]
    assert not isinstance(rescuer.feed([Text("call>")]), Counted)
    assert fold([*rescuer.end()]).text == "<tool_call>"


@pytest.mark.parametrize(
    "kind", ["hermes", "qwen_xml", "invoke_xml", "pythonic", "mistral", "llama_json", "harmony", "escaped"]
)
def test_each_format_can_be_switched_off(kind: Kind):
    leaks = {
        "hermes": f"<tool_call>{NOW}</tool_call>",
        "qwen_xml": "<function=now>\n</function>",
        "invoke_xml": '<invoke name="now">\n</invoke>',
        "pythonic": "[now()]",
        "mistral": "[TOOL_CALLS]now[ARGS]{}",
        "llama_json": NOW,
        "harmony": "<|channel|>commentary to=functions.now<|message|>{}<|call|>",
        "escaped": "&lt;tool_call&gt;{&quot;name&quot;: &quot;now&quot;}&lt;/tool_call&gt;",
    }
    came = [Text(leaks[kind]), Stop("stop")]
    assert len(fold(through(Rescuer(tools=ALL), came)).calls) == 1
    left = fold(through(Rescuer(tools=ALL, off=frozenset({kind})), came))
    assert (left.text, left.calls) == (leaks[kind], ())


@pytest.mark.parametrize(
    "loop",
    ["<tool_call>", "<tool_call>{", "<function=now><parameter=x>", '<tool_call>{"a": "', "&lt;tool_call&gt;", "[now("],
)  # fmt: skip
def test_a_model_that_loops_on_a_tag_costs_little(loop: str):
    rescuer = Rescuer(tools=ALL)
    before = time.process_time()
    out = [delta for _ in range(4000) for delta in rescuer.feed([Text(loop)])]
    out += rescuer.feed([Stop("length")]) + rescuer.end()
    assert time.process_time() - before < 2
    assert fold(out).text == loop * 4000


def test_a_long_call_costs_little():
    """40 KB of code as an argument, in pieces of four characters."""
    code = "def f(x):\n    return {'a': [x]}\n" * 1300
    arguments = {"path": "a", "content": code}
    body = f"<tool_call>{msgspec.json.encode({'name': 'write_file', 'arguments': arguments}).decode()}</tool_call>"
    rescuer = Rescuer(tools=ALL)
    before = time.process_time()
    out = [delta for at in range(0, len(body), 4) for delta in rescuer.feed([Text(body[at : at + 4])])]
    spent = time.process_time() - before
    answer = fold([*out, *rescuer.feed([Stop("stop")])])
    assert msgspec.json.decode(answer.calls[0].arguments)["content"] == code
    assert spent / (len(body) / 4) < 25e-6
