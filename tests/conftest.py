"""What every test gets: fixed seeds, one thread, hypothesis that repeats itself in CI, the data where there is some."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported anywhere: tiny tensors are faster on one thread, and the workers share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Start every test from the same random state; torch and numpy only where the test has loaded them."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the data sets; the test is skipped where there is none."""
    root = os.environ.get("ISTHMUS_DATA", "")
    if not root:
        pytest.skip("ISTHMUS_DATA is not set: it names the folder of the data sets")
    if not Path(root).is_dir():
        pytest.fail(f"ISTHMUS_DATA names no folder: {root}")
    return Path(root)
