#!/usr/bin/env python3
"""Write the model that ships with flockpy, the same bytes each time: ``make_selftest_model.py [OUT]``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from flockpy.paths import demo_model
from scripts.tiny_models import TinyModel, write

SELFTEST = TinyModel(
    text=(
        "Hello from flockpy! This is the built-in self-test, which only knows these words."
        " To get real answers run `flockpy model add file:PATH`."
    ),
    name="flock-demo",
    layers=1,
    ff=128,
    context=32_768,
)


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else demo_model()
    write(SELFTEST, out)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
