"""The examination: survey every part, look again at what is suspicious, and write the findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from isthmus.data.codec import Codec
from isthmus.data.doctor.finding import Diagnosis, Finding, Place, Severity, share_of
from isthmus.data.doctor.rules import (
    copy_findings,
    duplicate_rows,
    line_findings,
    overlap_rows,
    ratio_rows,
    repeated_sources,
    shift_findings,
)
from isthmus.data.doctor.sides import Judge
from isthmus.data.doctor.survey import SHOWN, Survey, Tally, chunks, place, survey
from isthmus.data.example import Example
from isthmus.data.pairs import Pairs, scan

Rows = npt.NDArray[np.int64]

_ENCODED = 10_000
_DISTINCT = 0.9
"""The share of pairs whose sides the characters must tell apart before the rule of exchanged sides speaks."""
_EVIDENCE = 6.0
"""The log-odds that each side of an exchanged pair must exceed: 400 to 1."""


@dataclass(slots=True)
class _Second:
    """What the second pass over a part finds.

    Attributes:
        wanted: rows of which the text is wanted.
        texts: their text.
        right: pairs whose sides look like what they are.
        exchanged: pairs each side of which looks like the other.
        units: [source, target] pieces of the encoded sample; `unknown` of them are unknown.
        unknown: see `units`.
        encoded: pairs in the sample.
        unlucky: pairs of the sample with an unknown piece.
        too_long: pairs of the sample over a limit of length.
    """

    wanted: frozenset[int]
    texts: dict[int, Place] = field(default_factory=dict)
    right: int = 0
    exchanged: Tally = field(default_factory=Tally)
    units: int = 0
    unknown: int = 0
    encoded: int = 0
    unlucky: Tally = field(default_factory=Tally)
    too_long: Tally = field(default_factory=Tally)


def examine(train: Pairs, dev: Pairs | None = None, test: Pairs | None = None, codec: Codec | None = None) -> Diagnosis:
    """Look at a training set, and at what it is measured on, for everything that commonly goes wrong.

    Reads each file twice and keeps 40 bytes a pair.

    Args:
        train: the training set.
        dev: the development set, if there is one.
        test: the test set, if there is one.
        codec: if given, a sample of each part is encoded: unknown pieces, pairs that are too long.

    Raises:
        InputError: a file is missing or a folder. Everything else that is wrong is a finding.
    """
    named = (("train", train), ("dev", dev), ("test", test))
    surveys = [survey(part, pairs) for part, pairs in named if pairs is not None]
    judge = surveys[0].sides.judge()
    findings: list[Finding] = []
    for one in surveys:
        findings += line_findings(one)
        if len(one):
            findings += _pair_findings(one, surveys[0], judge, codec)
    return Diagnosis.of({one.part: len(one) for one in surveys}, findings)


def _pair_findings(one: Survey, train: Survey, judge: Judge, codec: Codec | None) -> list[Finding]:
    """What is wrong with the readable pairs of a part."""
    is_train = one is train
    outliers, usual = ratio_rows(one)
    repeated = duplicate_rows(one)
    pairs, sources = (repeated[:0], repeated[:0]) if is_train else overlap_rows(one, train)
    second = _look_again(one, judge, (outliers, repeated, pairs, sources), codec)
    findings = [*copy_findings(one), *shift_findings(one), *_exchange_findings(one, second)]
    findings += _some(one, second, "length-ratio", outliers, 0.01, *_ratio_words(usual))
    findings += _some(one, second, "duplicates", repeated, 0.2, *_DUPLICATE_WORDS)
    if not is_train:
        findings += _some(one, second, "overlap-pair", pairs, 0.01, *_OVERLAP_WORDS)
        findings += _some(one, second, "overlap-source", sources, 0.1, *_SOURCE_WORDS)
        findings += _reference_findings(one)
    return findings + (_codec_findings(one, second, codec) if codec is not None else [])


def _look_again(one: Survey, judge: Judge, wanted: Iterable[Rows], codec: Codec | None) -> _Second:
    """The second pass: texts of the wanted rows, sides that look exchanged, a sample encoded."""
    shown = frozenset(row for rows in wanted for row in rows[:SHOWN].tolist())
    second = _Second(shown)
    step = max(1, len(one) // _ENCODED)
    first = 0
    for chunk in chunks(scan(one.pairs)):
        found = [(row.line, row.example) for row in chunk if row.example is not None]
        _judge_sides(found, first, one.pairs, judge, second)
        for number, (line, example) in enumerate(found, first):
            if number in second.wanted:
                second.texts[number] = place(one.pairs, line, example)
            if codec is not None and number % step == 0:
                _encode(example, place(one.pairs, line, example), codec, second)
        first += len(found)
        if first >= len(one):
            break
    return second


def _judge_sides(found: list[tuple[int, Example]], first: int, pairs: Pairs, judge: Judge, second: _Second) -> None:
    sources, targets = [e.source for _, e in found], [e.target for _, e in found]
    left, right = judge.look(sources, first), judge.look(targets, first)
    second.right += int(((left > 0) & (right < 0)).sum())
    for number in np.flatnonzero((left < 0) & (right > 0)).tolist():
        evidence = min(-left[number] * len(sources[number]), right[number] * len(targets[number]))
        if evidence > _EVIDENCE:
            second.exchanged.add(place(pairs, *found[number]))


def _encode(example: Example, where: Place, codec: Codec, second: _Second) -> None:
    source, target = codec.source_ids(example), codec.target_ids(example)
    unknown = source.count(codec.source.vocabulary.unk) + target.count(codec.target.vocabulary.unk)
    second.encoded += 1
    second.units += len(source) + len(target)
    second.unknown += unknown
    if unknown:
        second.unlucky.add(where)
    if not codec.fits(source, target):
        second.too_long.add(where)


def _exchange_findings(one: Survey, second: _Second) -> list[Finding]:
    count, total = second.exchanged.count, len(one)
    if not count or second.right + count < _DISTINCT * total:
        return []
    severity: Severity = "fatal" if count > 0.1 * total else "warning" if count > 0.001 * total else "note"
    message = f"{share_of(count, total)} probably have their sides exchanged: each looks like the other side"
    remedy = "exchange the two files or columns" if count > total / 2 else "exchange the sides of these lines"
    return [Finding(one.part, "exchanged-sides", severity, count, message, tuple(second.exchanged.places), remedy)]


_DUPLICATE_WORDS = ("repeat an earlier pair", "set `duplicates` in the filters if that is not on purpose")
_OVERLAP_WORDS = ("are in the training set too", "take them out of the training set: they measure memory")
_SOURCE_WORDS = (
    "have a source that the training set has with another target",
    "divide by source if the score is to tell how the model does on new inputs",
)


def _ratio_words(usual: float) -> tuple[str, str]:
    what = f"have an unusual ratio of lengths (the usual one, target to source in characters, is {usual:.2f})"
    return what, "look at them; `max_ratio` in the filters removes the worst"


def _some(one: Survey, second: _Second, rule: str, rows: Rows, many: float, what: str, remedy: str) -> list[Finding]:
    """A finding about some rows: a warning if they are more than the share `many`, otherwise a note."""
    count, total = len(rows), len(one)
    if not count:
        return []
    severity: Severity = "warning" if count > many * total else "note"
    if rule == "overlap-pair" and count > total / 2:
        severity = "fatal"
    examples = tuple(second.texts[row] for row in rows[:SHOWN].tolist() if row in second.texts)
    return [Finding(one.part, rule, severity, count, f"{share_of(count, total)} {what}", examples, remedy)]


def _reference_findings(one: Survey) -> list[Finding]:
    count = repeated_sources(one)
    if not count:
        return []
    message = f"{count:,} sources come with several different targets"
    remedy = "if all of them are right, score each source once, against all its targets as references"
    return [Finding(one.part, "several-references", "note", count, message, remedy=remedy)]


def _codec_findings(one: Survey, second: _Second, codec: Codec) -> list[Finding]:
    found = []
    if second.unknown:
        share = second.unknown / second.units
        severity: Severity = "fatal" if share > 0.2 else "warning" if share > 0.001 else "note"
        message = f"{100 * share:.2g} % of the pieces of {second.encoded:,} pairs are unknown to the vocabulary"
        remedy = "train the tokenizer on this data, or use one with byte fallback"
        places = tuple(second.unlucky.places)
        found.append(Finding(one.part, "unknown-pieces", severity, second.unlucky.count, message, places, remedy))
    if second.too_long.count:
        share = second.too_long.count / second.encoded
        severity = "fatal" if share > 0.5 else "warning" if share > 0.01 else "note"
        limits = f"{codec.config.max_source_length} source or {codec.config.max_target_length} target pieces"
        message = f"{share_of(second.too_long.count, second.encoded)} looked at are longer than {limits}"
        remedy = "they are left out of training: raise the limits of the codec, or divide the texts"
        places = tuple(second.too_long.places)
        found.append(Finding(one.part, "too-long", severity, second.too_long.count, message, places, remedy))
    return found
