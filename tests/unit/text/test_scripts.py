"""Which script letters are written in."""

from __future__ import annotations

import pytest

from isthmus.text.scripts import scripts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("12 — 3,4 €!", {}),
        ("Été, œuf", {"LATIN": 6}),
        ("ＡＢ ﬁ", {"LATIN": 4}),
        ("Ж Ω א", {"CYRILLIC": 1, "GREEK": 1, "HEBREW": 1}),
        ("日本語のテスト", {"CJK": 3, "HIRAGANA": 1, "KATAKANA": 3}),
        ("ｱ 한", {"KATAKANA": 1, "HANGUL": 1}),
        ("\ue000\ufffd", {}),
    ],
)
def test_letters_have_the_script_of_their_name(text: str, expected: dict[str, int]) -> None:
    assert dict(scripts(text)) == expected
