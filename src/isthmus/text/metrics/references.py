"""Several references a source: collecting, checking and counting them."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.core.errors import InputError


def group(sources: Sequence[str], targets: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Join the targets of equal sources: unique sources in first-seen order, and the distinct references of each.

    >>> group(["hi", "bye", "hi"], ["salut", "ciao", "bonjour"])
    (['hi', 'bye'], [['salut', 'bonjour'], ['ciao']])

    Raises:
        InputError: the two differ in number.
    """
    if len(sources) != len(targets):
        raise InputError(
            "every source needs one target",
            expected=f"{len(sources):,} targets, one a source",
            got=f"{len(targets):,} targets",
            fix="give line-aligned sources and targets",
        )
    found: dict[str, dict[str, None]] = {}
    for source, target in zip(sources, targets, strict=True):
        found.setdefault(source, {})[target] = None
    return list(found), [list(references) for references in found.values()]


def check(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Make sure that hypotheses can be scored: at least one, as many lists of references, none of these empty.

    Raises:
        InputError: saying the counts, or the first sentence (counted from 1) that has no reference.
    """
    if isinstance(hypotheses, str) or any(isinstance(item, str) for item in references):
        raise InputError(
            "hypotheses are a list of strings, references a list of lists of strings",
            expected="for each hypothesis a list of its references",
            got="one string in the place of a list",
            fix="write [[reference], ...] where each hypothesis has one reference",
        )
    if len(hypotheses) != len(references):
        raise InputError(
            "every hypothesis needs its references",
            expected=f"{len(references):,} hypotheses, one for each list of references",
            got=f"{len(hypotheses):,} hypotheses",
            fix="generate from the same sources that the references belong to",
        )
    if not hypotheses:
        raise InputError("an empty corpus has no score", expected="at least one sentence", got="0 sentences")
    for number, known in enumerate(references, start=1):
        if not known:
            raise InputError(
                "every sentence needs at least one reference",
                expected="one or more references",
                got="none",
                where=f"sentence {number:,}",
                fix="add a reference, or leave the sentence out",
            )


def reference_count(references: Sequence[Sequence[str]]) -> str:
    """How many references a sentence has, as signatures write it: a number, or `var` where it varies."""
    counts = {len(known) for known in references}
    return str(counts.pop()) if len(counts) == 1 else "var"
