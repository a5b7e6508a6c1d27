"""Where things lie: inside a data directory, and beside the installed packages."""

from dataclasses import dataclass
from pathlib import Path

import flockpy


@dataclass(frozen=True, slots=True)
class DataDir:
    """The layout of a data directory (``~/.flock`` unless configured); one leader or worker each."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def admin_key(self) -> Path:
        """Plaintext of the first admin key, 0600, for the command line on this machine."""
        return self.root / "admin.key"

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def journal(self) -> Path:
        """Directory of the usage journal's segments."""
        return self.root / "journal"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def engine_log(self, model_id: str) -> Path:
        return self.logs / "engines" / f"{model_id.replace('/', '_')}.log"

    @property
    def run(self) -> Path:
        """Locks, pids and the local join token: what lives only while a process runs."""
        return self.root / "run"

    @property
    def up_lock(self) -> Path:
        """Held by ``flockpy up``, with its pid."""
        return self.run / "up.lock"

    @property
    def address(self) -> Path:
        """Where the leader that ``flockpy up`` runs is reached from this machine: one URL."""
        return self.run / "address"

    @property
    def leader_lock(self) -> Path:
        """Held by the leader, with its pid."""
        return self.run / "leader.lock"

    @property
    def agent_lock(self) -> Path:
        """Held by the agent, with its pid."""
        return self.run / "agent.lock"

    @property
    def join_token(self) -> Path:
        """Where the leader leaves a single-use join token for the agent of its own machine."""
        return self.run / "join.token"

    @property
    def clients(self) -> Path:
        """Directory of what was set up on this machine: each client's key, and what was changed in its files."""
        return self.root / "clients"

    @property
    def identity(self) -> Path:
        """The agent's node id and key, 0600."""
        return self.root / "agent" / "identity.json"

    @property
    def instances(self) -> Path:
        """Directory with one file for each engine process the agent has started."""
        return self.root / "agent" / "instances"


def package_root() -> Path:
    """The folder that holds the three packages; a start-up check asserts that they share it."""
    return Path(flockpy.__file__).resolve().parent.parent


def catalog_dir() -> Path:
    """The bundled catalog: inside the wheel, else the checkout's ``catalog`` folder."""
    bundled = Path(flockpy.__file__).resolve().parent / "_catalog"
    return bundled if bundled.is_dir() else package_root() / "catalog"


def demo_model() -> Path:
    """The self-test model that ships with the program."""
    return Path(flockpy.__file__).resolve().parent / "selftest" / "flock-demo.gguf"
