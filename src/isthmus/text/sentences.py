"""Running text into sentences, with their places kept, by rules: no library does it well enough in four languages.

A sentence ends at a mark (`.`, `?`, `。` ...) with the quotes and brackets that close after it, where a new one seems to
begin, and at the end of a line, unless the line is long and the next goes on in small letters, as in wrapped text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from isthmus.text.sentence_rules import Rules, rules_of

_EAST = "。！？｡"
_MARK = re.compile(
    rf"""
    (?P<mark>[.!?…‥؟۔।॥։።{_EAST}]+)
    (?P<closing>(?:["'”’»“‘«)\]}}」』）】》〉]|\[\d+\])*)
    | (?P<line>\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])(?P<more>\s*)
    """,
    re.VERBOSE,
)
_MARKED = re.compile(rf"""[.!?…‥؟۔।॥։።{_EAST}][\s"'”’»“‘«)\]}}」』）】》〉]*\Z""")
_WORD = re.compile(r"[^\W_]")
_EAST_CLOSING = re.compile(r"""["'”’»)\]}」』）】》〉]*""")
_CLOSING_GUILLEMET = re.compile(r"[ \u00a0\u202f]»")
_LINE_BREAK = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SPACE = re.compile(r"\s*")
_OPENING = re.compile(r"""[\s"'“‘«»„‚([{¿¡*_–—-]*""")
_GOES_ON = frozenset(",;:.!?…)]}，；：、。！？）」』》")
_HAN_OR_KANA = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_SAID = re.compile(r"[^\s。！？，：“「]{1,5}?(?:[说說问問答喊叫]|(?<!知)道)[着道]?[，。：！]|と")
_NEXT_WORD = re.compile(r"[^\W\d_]+")
_LETTER = r"[^\W\d_\u3040-\u9fff]"
_INITIALS = re.compile(rf"(?<![^\W\u3040-\u9fff])(?:{_LETTER}\.[ \u00a0\u202f]?-?)*{_LETTER}\Z")
_INITIAL = re.compile(r"[^\W\d_]\.")
_MARKER = re.compile(r"\d{1,3}|[A-Za-z]|[ivx]{1,5}|[IVX]{1,5}")
_ORDINAL = re.compile(r"(?<![\w.,])(?:\d{1,2}|[IVXLCM]+)\Z")
_WINDOW = 24
"""How far before a full stop an abbreviation is looked for."""
_LONG_LINE = 40
"""A line shorter than this was not wrapped."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence and its place: `text[start:end]` of the whole text is the sentence's own `text`."""

    text: str
    start: int
    end: int


def split(text: str, language: str) -> list[Sentence]:
    """Cut running text into sentences; between them, before the first and after the last is only white space.

    Rules for English, German and French know those languages' abbreviations; marks of Chinese, Japanese, Arabic, Hindi
    and some others are known everywhere.

    Args:
        text: any string, of any length; line breaks are kept inside a sentence that was wrapped.
        language: a BCP 47 tag, of which the first part counts; an unknown one gets general rules.

    Example:
        >>> [sentence.text for sentence in split("Mr. Hill left. Why? Nobody knows.", "en")]
        ['Mr. Hill left.', 'Why?', 'Nobody knows.']
    """
    rules = rules_of(language)
    cased = text != text.lower()
    sentences: list[Sentence] = []
    start = 0
    word = _first_word(text, start)
    for found in _MARK.finditer(text):
        if found["line"]:
            ends, end = _line_ends(text, start, found, cased), found.start()
        else:
            end = _end_of_mark(text, start, found, rules)
            ends = word < found.start() and _mark_ends(text, word, found, end, rules, cased)
        if ends:
            _append(sentences, text, start, end)
            start = end
            word = word if word >= start else _first_word(text, start)
    _append(sentences, text, start, len(text))
    return sentences


def _append(sentences: list[Sentence], text: str, start: int, end: int) -> None:
    """Add what lies between, without the white space around it, if there is anything."""
    body = text[start:end]
    start += len(body) - len(body.lstrip())
    kept = body.strip()
    if kept:
        sentences.append(Sentence(kept, start, start + len(kept)))


def _first_word(text: str, start: int) -> int:
    """Where the first letter or digit from `start` on is."""
    found = _WORD.search(text, start)
    return found.start() if found else len(text)


def _line_ends(text: str, start: int, line: re.Match[str], cased: bool) -> bool:
    """Whether a sentence ends with this line."""
    blank = _LINE_BREAK.search(line["more"]) is not None
    if blank or line.end() == len(text):
        return True
    before = text[max(start, line.start() - _LONG_LINE) : line.start()]
    if _MARKED.search(before):
        return False  # the mark has decided
    return not (cased and len(before) == _LONG_LINE and not _LINE_BREAK.search(before) and text[line.end()].islower())


def _end_of_mark(text: str, start: int, found: re.Match[str], rules: Rules) -> int:
    """Where the sentence would end: after the quotes and brackets that close."""
    if found["mark"][-1] in _EAST:  # no space parts the sentences: what opens the next one stands right here
        if found["closing"][:1] == '"' and text.count('"', start, found.start()) % 2 == 0:
            return found.end("mark")
        closing = _EAST_CLOSING.match(text, found.end("mark"))
        return closing.end() if closing else found.end("mark")
    guillemet = _CLOSING_GUILLEMET.match(text, found.end()) if rules.guillemets_close else None
    return guillemet.end() if guillemet else found.end()


def _mark_ends(text: str, word: int, found: re.Match[str], end: int, rules: Rules, cased: bool) -> bool:
    """Whether the mark ends the sentence whose first word begins at `word`."""
    mark, quoted = found["mark"], end > found.end("mark")
    space = _SPACE.match(text, end)
    after = space.end() if space else end
    if after == len(text):
        return False  # the text ends here anyway
    if text[after] in _GOES_ON:
        return False
    if mark[-1] in _EAST:
        return not (quoted and _SAID.match(text, after))
    if after == end:
        return mark[-1] in "!?" and _HAN_OR_KANA.match(text, after) is not None
    opening = _OPENING.match(text, after)
    begin = opening.end() if opening else after
    new_line = _LINE_BREAK.search(text, end, after) is not None
    if cased and not new_line and text[begin : begin + 1].islower():
        return False
    if quoted and rules.saying.match(text, after):
        return False
    return mark != "." or _full_stop_ends(text, word, found.start(), begin, rules)


def _full_stop_ends(text: str, word: int, stop: int, begin: int, rules: Rules) -> bool:
    """Whether the full stop at `stop` ends a sentence, if the next word begins at `begin` with no small letter."""
    before = text[max(word, stop - _WINDOW) : stop]
    next_word = _NEXT_WORD.match(text, begin)
    starter = next_word is not None and next_word[0] in rules.starters
    if rules.never.search(before):
        return False
    if _MARKER.fullmatch(text, word, stop) and text[word:stop] not in rules.words:
        return False  # the number of an item, not a sentence
    if text[begin : begin + 1].isdigit() and rules.before_number.search(before):
        return False
    initials = _INITIALS.search(before)
    if initials and initials[0] in rules.words:
        return _INITIAL.match(text, begin) is None
    if (initials and not initials[0].islower()) or rules.perhaps.search(before):
        return starter
    return starter or not (rules.ordinals and _ORDINAL.search(before))
