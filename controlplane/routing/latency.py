"""How long models lately took to their first byte, for those who would rather ask a faster one. Pure."""

from collections import deque
from typing import Final

WINDOW_S: Final = 120.0
"""What is older does not count: so a model that was passed over is tried again."""
SAMPLES: Final = 200
FEWEST: Final = 5
"""Samples without which nothing is said of a model."""


class Latencies:
    """`slow_s`: a model whose 95th percentile is above it is slow; 0 calls none so."""

    def __init__(self, slow_s: float) -> None:
        self._slow_s = slow_s
        self._samples: dict[str, deque[tuple[float, float]]] = {}

    def observe(self, model: str, took_s: float, now: float) -> None:
        """A request was answered; `now` in seconds, on any clock that never goes back."""
        if self._slow_s:
            self._samples.setdefault(model, deque(maxlen=SAMPLES)).append((now, took_s))

    def is_slow(self, model: str, now: float) -> bool:
        samples = self._samples.get(model)
        if not samples:
            return False
        while samples and samples[0][0] < now - WINDOW_S:
            samples.popleft()
        took = sorted(took_s for _, took_s in samples)
        return len(took) >= FEWEST and took[int(len(took) * 0.95)] > self._slow_s
