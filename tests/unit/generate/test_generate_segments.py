"""Text taken apart and put together again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.generate.segments import joined, sentences, whole

TEXT = st.text(alphabet=st.sampled_from(list("ab .!?\n\t\r。A")), max_size=40)


@given(TEXT)
def test_joining_the_sentences_themselves_gives_the_text_back(text: str) -> None:
    parts = sentences(text, "en")
    again = joined(text, parts, [part.text for part in parts], "en")
    assert again.split() == text.split() or "。" in text
    assert again.count("\n") == text.count("\n")
    assert again.count("\r") == text.count("\r")


@pytest.mark.parametrize(
    "text",
    [
        "I love this beer. It is the best in the world.",
        "  First line.\n\n\tSecond one.  Two spaces. \r\nThird.\n",
        "One.",
        "",
        " \n ",
    ],
)
def test_spacing_survives(text: str) -> None:
    parts = sentences(text, "en")
    assert joined(text, parts, [part.text for part in parts], "en") == text
    assert all(text[part.start : part.end] == part.text for part in parts)


def test_outputs_stand_where_their_sentences_stood() -> None:
    text = "  I love this beer. It is the best in the world.\n\n- Yes."
    parts = sentences(text, "en")
    outputs = [f"<{index}>" for index in range(len(parts))]
    again = joined(text, parts, outputs, "fr")
    assert again.startswith("  <0> <1>\n\n")


def test_a_sentence_over_two_lines_is_one_and_its_break_survives() -> None:
    text = "This is a sentence that was wrapped by an editor\n  and goes on here. Done."
    parts = sentences(text, "en")
    assert [part.text for part in parts] == [
        "This is a sentence that was wrapped by an editor and goes on here.",
        "Done.",
    ]
    output = "Voici une phrase coupée par un éditeur et qui continue là."
    again = joined(text, parts, [output, "Fini."], "fr")
    assert again.replace("\n  ", " ") == f"{output} Fini."
    assert 30 < again.index("\n  ") < 50
    assert joined(text, parts, ["一二三四五六七八九十。", "完。"], "zh") == "一二三四五六七八\n  九十。完。"


@pytest.mark.parametrize(
    ("text", "source", "outputs", "target", "expected"),
    [
        ("我爱啤酒。它最好。", "zh", ["I love beer.", "It is best."], "en", "I love beer. It is best."),
        ("I love beer. It is best.", "en", ["我爱啤酒。", "它最好。"], "zh-Hans", "我爱啤酒。它最好。"),
        ("One is here.\nTwo is there.", "en", ["一。", "二。"], "ja", "一。\n二。"),
    ],
)
def test_spaces_between_sentences_follow_the_script_of_the_output(
    text: str, source: str, outputs: list[str], target: str, expected: str
) -> None:
    assert joined(text, sentences(text, source), outputs, target) == expected


def test_a_whole_text_is_stripped() -> None:
    (part,) = whole("  One. Two.\n")
    assert (part.text, part.start, part.end) == ("One. Two.", 2, 11)
    assert whole(" \n ") == whole("") == []
