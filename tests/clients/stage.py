"""A real `flockpy up` that has adopted the strict engine, for clients to work against."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.program import Program, eventually, running
from tests.simulators.strict_engine import MODEL, StrictEngine, strict_engine


@dataclass(frozen=True, slots=True)
class Stage:
    """`key` is one a user would have."""

    program: Program
    engine: StrictEngine
    key: str

    @property
    def url(self) -> str:
        return self.program.url


@contextmanager
def on_stage(folder: Path) -> Iterator[Stage]:
    """The program and its engine, whose one model is ready."""
    with strict_engine() as engine, running(folder, FLOCK_EXTERNAL_ENDPOINTS=engine.url) as program:
        eventually(lambda: program.model_state(MODEL) == "serving", "the strict engine is adopted")
        yield Stage(program, engine, program.create_key("ann"))
