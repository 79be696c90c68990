"""`python -m isthmus`, as `torchrun -m isthmus` needs it."""

from __future__ import annotations

from isthmus.cli.main import run

if __name__ == "__main__":
    run()
