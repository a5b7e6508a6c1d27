"""Pure modules do no I/O, read no clock, draw no randomness and know no framework."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.project import imports, product_modules, tree

PURE = frozenset(
    {
        "agent.hardware",
        "agent.hardware.apple",
        "agent.hardware.base",
        "agent.hardware.nvidia",
        "agent.lifecycle",
        "agent.plan",
        "agent.watchdog",
        "controlplane.cluster.apply",
        "controlplane.cluster.durable",
        "controlplane.cluster.events",
        "controlplane.cluster.state",
        "controlplane.cluster.views",
        "controlplane.egress.left_out",
        "controlplane.egress.verdict",
        "controlplane.gateway.counts",
        "controlplane.gateway.hush",
        "controlplane.gateway.outbound",
        "controlplane.gateway.stream",
        "controlplane.gateway.upstream",
        "controlplane.protocols.anthropic",
        "controlplane.protocols.anthropic_answer",
        "controlplane.protocols.anthropic_blocks",
        "controlplane.protocols.anthropic_clouds",
        "controlplane.protocols.anthropic_decoder",
        "controlplane.protocols.anthropic_dialect",
        "controlplane.protocols.anthropic_error",
        "controlplane.protocols.anthropic_instructions",
        "controlplane.protocols.anthropic_request",
        "controlplane.protocols.anthropic_stream",
        "controlplane.protocols.anthropic_thoughts",
        "controlplane.protocols.anthropic_turns",
        "controlplane.protocols.assembly",
        "controlplane.protocols.base",
        "controlplane.protocols.chat_calls",
        "controlplane.protocols.chat_decoder",
        "controlplane.protocols.chat_dialect",
        "controlplane.protocols.chat_encoder",
        "controlplane.protocols.chat_messages",
        "controlplane.protocols.chat_outline",
        "controlplane.protocols.chat_request",
        "controlplane.protocols.chat_surface",
        "controlplane.protocols.completion_dialect",
        "controlplane.protocols.converse_decoder",
        "controlplane.protocols.converse_dialect",
        "controlplane.protocols.converse_schema",
        "controlplane.protocols.converse_shapes",
        "controlplane.protocols.converse_turns",
        "controlplane.protocols.event_decoder",
        "controlplane.protocols.gemini_decoder",
        "controlplane.protocols.gemini_dialect",
        "controlplane.protocols.gemini_turns",
        "controlplane.protocols.half_event",
        "controlplane.protocols.ir",
        "controlplane.protocols.listing",
        "controlplane.protocols.ollama",
        "controlplane.protocols.ollama_embed",
        "controlplane.protocols.ollama_listing",
        "controlplane.protocols.ollama_request",
        "controlplane.protocols.media",
        "controlplane.protocols.openai_chat",
        "controlplane.protocols.signatures",
        "controlplane.protocols.sse",
        "controlplane.protocols.openai_error",
        "controlplane.protocols.rerank",
        "controlplane.protocols.responses",
        "controlplane.protocols.responses_answer",
        "controlplane.protocols.responses_decoder",
        "controlplane.protocols.responses_dialect",
        "controlplane.protocols.responses_error",
        "controlplane.protocols.responses_input",
        "controlplane.protocols.responses_items",
        "controlplane.protocols.responses_models",
        "controlplane.protocols.responses_object",
        "controlplane.protocols.responses_request",
        "controlplane.protocols.responses_shapes",
        "controlplane.protocols.responses_stream",
        "controlplane.protocols.responses_text",
        "controlplane.protocols.responses_thoughts",
        "controlplane.protocols.responses_tools",
        "controlplane.protocols.stop_sequences",
        "controlplane.protocols.strict_schema",
        "controlplane.protocols.transcription",
        "controlplane.protocols.translated",
        "controlplane.protocols.rescue",
        "controlplane.protocols.rescue.base",
        "controlplane.protocols.rescue.calls",
        "controlplane.protocols.rescue.escaped",
        "controlplane.protocols.rescue.formats",
        "controlplane.protocols.rescue.harmony",
        "controlplane.protocols.rescue.hermes",
        "controlplane.protocols.rescue.jsoncall",
        "controlplane.protocols.rescue.lexicon",
        "controlplane.protocols.rescue.llama",
        "controlplane.protocols.rescue.markdown",
        "controlplane.protocols.rescue.mistral",
        "controlplane.protocols.rescue.offered",
        "controlplane.protocols.rescue.pythonic",
        "controlplane.protocols.rescue.rescuer",
        "controlplane.protocols.rescue.scanner",
        "controlplane.protocols.rescue.strict",
        "controlplane.protocols.rescue.think",
        "controlplane.protocols.rescue.xml",
        "controlplane.protocols.rescue.xmlcall",
        "controlplane.routing.chains",
        "controlplane.routing.latency",
        "controlplane.routing.names",
        "controlplane.routing.policy",
        "controlplane.routing.resolve",
        "controlplane.routing.table",
        "controlplane.scheduler.fit",
        "controlplane.scheduler.plan",
        "controlplane.tenants.access",
        "controlplane.tenants.accounts",
        "controlplane.tenants.estimate",
        "controlplane.tenants.cursor",
        "controlplane.tenants.lines",
        "controlplane.tenants.model",
        "controlplane.tenants.quota",
        "flockpy.aliases",
        "flockpy.clients.card",
        "flockpy.clients.entry",
        "flockpy.clients.jsonc",
        "flockpy.clients.rendered",
        "flockpy.clients.template",
        "flockpy.config",
        "flockpy.engines",
        "flockpy.engines.adoption",
        "flockpy.engines.base",
        "flockpy.engines.choice",
        "flockpy.engines.embedded",
        "flockpy.engines.fake",
        "flockpy.engines.fake.answers",
        "flockpy.engines.fake.script",
        "flockpy.engines.llama",
        "flockpy.engines.llamacpp",
        "flockpy.engines.memory",
        "flockpy.engines.mlx",
        "flockpy.engines.ollama",
        "flockpy.engines.openai_compatible",
        "flockpy.engines.vllm",
        "flockpy.entries",
        "flockpy.environment",
        "flockpy.errors",
        "flockpy.globs",
        "flockpy.http.proxies",
        "flockpy.ids",
        "flockpy.modelfile",
        "flockpy.node",
        "flockpy.known_vendors",
        "flockpy.placement",
        "flockpy.units",
        "flockpy.values",
        "flockpy.vendors",
        "flockpy.wire",
    }
)

ALLOWED_LIBRARIES = frozenset(
    {
        "__future__",
        "abc",
        "array",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "difflib",
        "enum",
        "fnmatch",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "html",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "msgspec",
        "operator",
        "pathlib",
        "python_multipart",  # the parser of forms, which is given bytes and does no I/O
        "re",
        "shlex",
        "statistics",
        "string",
        "struct",
        "textwrap",
        "types",
        "typing",
        "typing_extensions",
        "unicodedata",
        "urllib.parse",
        "zlib",
    }
)

FORBIDDEN_CALLS = frozenset({"open", "print", "input", "exec", "eval", "breakpoint"})
FORBIDDEN_METHODS = frozenset(
    {
        *("now", "utcnow", "today"),  # datetime's clock
        *(
            "read_text",
            "read_bytes",
            "write_text",
            "write_bytes",
            "exists",
            "is_file",
            "is_dir",
            "mkdir",
            "unlink",
        ),
        *("glob", "rglob", "iterdir", "stat", "resolve", "home", "cwd", "expanduser"),
    }
)


def says_pure(path: Path) -> bool:
    docstring = ast.get_docstring(tree(path)) or ""
    return re.search(r"\bPure[.:;]", docstring) is not None


def test_the_list_of_pure_modules_and_their_docstrings_agree() -> None:
    said = {name for name, path in product_modules().items() if says_pure(path)}
    assert said == PURE, "put 'Pure.' in the module's docstring and its name into PURE, or neither"


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_module_imports_only_pure_things(module: str) -> None:
    wrong = [
        name
        for name in imports(product_modules()[module])
        if name not in PURE
        and name not in ALLOWED_LIBRARIES
        and name.partition(".")[0] not in ALLOWED_LIBRARIES
    ]
    assert not wrong, f"{module} is pure and may not import {wrong}"


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_module_neither_waits_nor_touches_the_world(module: str) -> None:
    wrong: list[str] = []
    for node in ast.walk(tree(product_modules()[module])):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            wrong.append(f"line {node.lineno}: async")
        elif isinstance(node, ast.Global):
            wrong.append(f"line {node.lineno}: global")
        elif isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) if name in FORBIDDEN_CALLS:
                    wrong.append(f"line {node.lineno}: {name}()")
                case ast.Attribute(attr=name) if name in FORBIDDEN_METHODS:
                    wrong.append(f"line {node.lineno}: .{name}()")
                case _:
                    pass
    assert not wrong, f"{module} is pure: {wrong}"
