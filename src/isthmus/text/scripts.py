"""The script that a letter is written in: Latin, Greek, Cyrillic, CJK, ..."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache


def scripts(text: str) -> Counter[str]:
    """How many letters of each script a text has.

    Compatibility forms count as what they stand for; digits, marks and signs have no script.

    Args:
        text: any string.

    Example:
        >>> dict(scripts("Ça va? Да, 好！"))
        {'LATIN': 4, 'CYRILLIC': 2, 'CJK': 1}
    """
    return Counter(found for char in unicodedata.normalize("NFKC", text) if (found := _script(char)))


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    """The first word of a letter's Unicode name, which is that of its script; empty for what is no letter."""
    if unicodedata.category(char) not in ("Lu", "Ll", "Lt", "Lo"):
        return ""
    return unicodedata.name(char, "").partition(" ")[0]
