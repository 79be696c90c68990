"""The rules that look at one part, after one pass over it, and at two parts together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from isthmus.data.doctor.alignment import Shift, shifts
from isthmus.data.doctor.finding import Finding, Severity, share_of
from isthmus.data.doctor.survey import Survey
from isthmus.data.ragged import Offsets

Rows = npt.NDArray[np.int64]

_PROBLEMS: tuple[tuple[str, str, Severity, str], ...] = (
    ("utf8", "invalid-utf8", "fatal", "not valid UTF-8"),
    ("nul", "nul", "fatal", "NUL characters"),
    ("columns", "columns", "fatal", "the wrong number of columns"),
    ("json", "json", "fatal", "not JSON"),
    ("field", "field", "fatal", "fields that do not make an example"),
    ("crlf", "crlf", "note", r"ending in \r\n (it is removed in reading)"),
)
_OUTLIER_SHORTEST = 20
_OUTLIER_SPREAD = 6.0


def line_findings(survey: Survey) -> list[Finding]:
    """What is wrong with single lines, with the files, and with the number of pairs."""
    part, total, found = survey.part, len(survey), []
    if survey.unreadable is not None:
        error = survey.unreadable
        message = f"{error.rule}: {error.got} ({error.where})"
        found.append(Finding(part, "unreadable", "fatal", 1, message, remedy=error.fix))
    for kind, rule, severity, what in _PROBLEMS:
        if kind in survey.problems:
            tally, first = survey.problems[kind]
            message = f"{_lines(tally.count)}: {what}"
            found.append(Finding(part, rule, severity, tally.count, message, tuple(tally.places), first.fix))
    if "mark" in survey.problems:
        tally, first = survey.problems["mark"]
        message = f"a file starts with a byte-order mark (it is removed in reading): {tally.places[0].file}"
        found.append(Finding(part, "byte-order-mark", "note", tally.count, message, remedy=first.fix))
    if "counts" in survey.problems:
        tally, first = survey.problems["counts"]
        message = f"the two files have different numbers of lines: {first.got}"
        found.append(Finding(part, "line-counts", "fatal", 1, message, remedy="align the two files again"))
    if total == 0:
        message = f"no pair can be read from {survey.pairs}"
        found.append(Finding(part, "empty-corpus", "fatal", 0, message, remedy="check that this is the right file"))
    if survey.empty.count:
        share = survey.empty.count / total
        message = f"{share_of(survey.empty.count, total)} have an empty side"
        remedy = "they are left out of training; find out where the text was lost if there are many"
        grave: Severity = "fatal" if share > 0.5 else "warning" if share > 0.001 else "note"
        found.append(
            Finding(part, "empty-side", grave, survey.empty.count, message, tuple(survey.empty.places), remedy)
        )
    return found


def copy_findings(survey: Survey) -> list[Finding]:
    """Pairs whose target repeats the source."""
    count, total = survey.copies.count, len(survey)
    if not count:
        return []
    message = f"{share_of(count, total)} have a target that is a copy of the source"
    remedy = "if the task is not copying, set `identical` in the filters: such pairs teach the model to copy"
    severity: Severity = "warning" if count > 0.05 * total else "note"
    return [Finding(survey.part, "copies", severity, count, message, tuple(survey.copies.places), remedy)]


def duplicate_rows(survey: Survey) -> Rows:
    """The rows that repeat an earlier pair."""
    _, first = np.unique(survey.pair_hash, return_index=True)
    repeated = np.ones(len(survey), dtype=np.bool_)
    repeated[first] = False
    return np.flatnonzero(repeated)


def repeated_sources(survey: Survey) -> int:
    """How many different sources come with more than one different target."""
    _, first = np.unique(survey.pair_hash, return_index=True)
    _, counts = np.unique(survey.source_hash[first], return_counts=True)
    return int((counts > 1).sum())


def overlap_rows(survey: Survey, train: Survey) -> tuple[Rows, Rows]:
    """The rows whose pair is in the training set too, and those of which only the source is."""
    pair = np.isin(survey.pair_hash, train.pair_hash)
    source = np.isin(survey.source_hash, train.source_hash) & ~pair
    return np.flatnonzero(pair), np.flatnonzero(source)


def ratio_rows(survey: Survey) -> tuple[Rows, float]:
    """The rows whose ratio of lengths is far from the usual one, and the usual one (target to source)."""
    source, target = survey.source_length, survey.target_length
    filled = (source > 0) & (target > 0)
    if not filled.any():
        return np.empty(0, dtype=np.int64), 1.0
    ratio = np.log((target + 1.0) / (source + 1.0))
    usual = float(np.median(ratio[filled]))
    spread = 1.4826 * float(np.median(np.abs(ratio[filled] - usual)))
    far = np.abs(ratio - usual) > max(np.log(3.0), _OUTLIER_SPREAD * spread)
    return np.flatnonzero(filled & far & (np.maximum(source, target) >= _OUTLIER_SHORTEST)), float(np.exp(usual))


def shift_findings(survey: Survey) -> list[Finding]:
    """Whether the two sides drift apart, and from which line."""
    found = shifts(survey.source_length, survey.target_length)
    if not found:
        return []
    rows = sum(shift.rows for shift in found)
    share = rows / len(survey)
    message = f"the lines of the two sides drift apart {_where(found[0], survey.line)}"
    if len(found) > 1:
        message += f", and in {len(found) - 1} more stretch{'es' if len(found) > 2 else ''}"
    message += f"; in all {share_of(rows, len(survey))}"
    severity: Severity = "fatal" if share > 0.02 else "warning"
    remedy = "look for a line that was lost, added or broken in two on one side near there, and align the files again"
    return [Finding(survey.part, "shifted-alignment", severity, rows, message, remedy=remedy)]


def _where(shift: Shift, line: Offsets) -> str:
    way = "further on" if shift.offset > 0 else "further back"
    lines = "1 line" if abs(shift.offset) == 1 else f"{abs(shift.offset)} lines"
    fits = f"correlation of lengths {shift.fit:.2f} there, {shift.fit_beside:.2f} beside each other"
    stop = line[min(shift.start + shift.rows, len(line)) - 1]
    return f"from about line {line[shift.start]:,} to {stop:,}: the targets stand {lines} {way} ({fits})"


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"
