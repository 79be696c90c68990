"""Write the frozen lists and docs/recipes.md again: `python -m tests.project.update`, from the root. Read the difference."""

from __future__ import annotations

from tests.project.frozen import FROZEN, HERE, ready
from tests.project.recipe_page import PAGE, page


def main() -> None:
    for name, lines in FROZEN.items():
        if ready(name):
            (HERE / name).write_text("\n".join(lines()) + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
