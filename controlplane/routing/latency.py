"""How long models lately took to their first byte, for those who would rather ask a faster one. Pure."""

from collections import OrderedDict, deque
from typing import Final

WINDOW_S: Final = 120.0
"""What is older does not count: so a model that was passed over is tried again."""
SAMPLES: Final = 200
FEWEST: Final = 5
"""Samples without which nothing is said of a model."""
MODELS: Final = 256
"""Models that are remembered, those that answered last: clients make names of vendors' models up."""


class Latencies:
    """`slow_s`: a model whose 95th percentile is above it is slow; 0 calls none so."""

    def __init__(self, slow_s: float) -> None:
        self._slow_s = slow_s
        self._samples: OrderedDict[str, deque[tuple[float, float]]] = OrderedDict()

    def __len__(self) -> int:
        """Models of which something is remembered."""
        return len(self._samples)

    def observe(self, model: str, took_s: float, now: float) -> None:
        """A model has answered, or was given up after so long; `now` in seconds, on any clock that never goes back."""
        if not self._slow_s:
            return
        self._samples.setdefault(model, deque(maxlen=SAMPLES)).append((now, took_s))
        self._samples.move_to_end(model)
        if len(self._samples) > MODELS:
            self._samples.popitem(last=False)

    def is_slow(self, model: str, now: float) -> bool:
        samples = self._samples.get(model)
        if not samples:
            return False
        while samples and samples[0][0] < now - WINDOW_S:
            samples.popleft()
        took = sorted(took_s for _, took_s in samples)
        return len(took) >= FEWEST and took[int(len(took) * 0.95)] > self._slow_s
