"""Write the frozen lists again: `python -m tests.project.update`, from the root of the project. Read the difference."""

from __future__ import annotations

from tests.project.frozen import FROZEN, HERE, ready


def main() -> None:
    for name, lines in FROZEN.items():
        if ready(name):
            (HERE / name).write_text("\n".join(lines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
