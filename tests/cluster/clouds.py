"""A leader with an engine of its own, that may also ask two (simulated) clouds, with credentials as they really are."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.fake import Stage, on_stage
from tests.simulators import bedrock, google_tokens, vertex
from tests.simulators.aws_wire import Account
from tests.simulators.bedrock import Bedrock
from tests.simulators.google_tokens import TokenServer
from tests.simulators.vertex import Fault, Vertex
from tests.simulators.vertex_answers import Turn

NOVA, LLAMA = "amazon.nova-lite-v1:0", "us.meta.llama3-3-70b-instruct-v1:0"
BEDROCKS_CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
GEMINI, GEMINI_3, VERTEXS_CLAUDE = "gemini-2.5-flash", "gemini-3-pro-preview", "claude-sonnet-4-5@20250929"
NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true", "NO_GCE_CHECK": "true"}
"""Credentials are not looked for on the network of this machine."""


@dataclass(frozen=True, slots=True)
class Clouds:
    stage: Stage
    bedrock: Bedrock
    vertex: Vertex
    tokens: TokenServer

    def of_bedrock(self, **state: Any) -> None:
        """How Bedrock behaves from now on; see `bedrock.State`."""
        self.bedrock.state = bedrock.State(**state)

    def of_vertex(self, *turns: Turn, faults: tuple[Fault, ...] = (), part_s: float = 0) -> None:
        """What Vertex says from now on, behind these faults. Signatures that it has given out stay good."""
        given = self.vertex.state.signatures
        state = vertex.State(tokens=self.tokens.granted, signatures=given, part_s=part_s)
        self.vertex.state = state
        state.turns.extend(turns)
        state.faults.extend(faults)


@contextmanager
def clouds(folder: Path, *, fallback: str = "", router: str = "", **environ: str) -> Iterator[Clouds]:
    """`fallback` and `router` are further lines of these sections of its configuration; `environ` goes over the
    credentials that it has."""
    with bedrock.running() as aws, vertex.running() as google, google_tokens.serving() as tokens:
        google.state.tokens = tokens.granted
        lines = [
            "router:",
            *(f"  {line}" for line in router.splitlines()),
            "  fallback:",
            f"    bedrock_region: {bedrock.REGION}",
            f"    bedrock_url: {aws.url}",
            f"    vertex_project: {vertex.PROJECT}",
            f"    vertex_location: {vertex.LOCATION}",
            f"    vertex_url: {google.url}",
            *(f"    {line}" for line in fallback.splitlines()),
        ]
        account = Account()
        credentials = {
            "AWS_ACCESS_KEY_ID": account.key,
            "AWS_SECRET_ACCESS_KEY": account.secret,
            "GOOGLE_APPLICATION_CREDENTIALS": str(tokens.account(folder / "account.json")),
        }
        with on_stage(folder, "\n".join(lines) + "\n", **{**NOWHERE, **credentials, **environ}) as stage:
            yield Clouds(stage, aws, google, tokens)
