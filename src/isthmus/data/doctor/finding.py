"""What the doctor says: findings, the worst first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["fatal", "warning", "note"]
"""`fatal` would ruin the run, `warning` costs quality, `note` is worth knowing."""

_ORDER: tuple[Severity, ...] = ("fatal", "warning", "note")
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from 1, and what stands there."""

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the doctor noticed.

    Attributes:
        part: `train`, `dev` or `test`.
        rule: a short name that stays the same from version to version.
        severity: how bad it is.
        count: how many lines it concerns.
        message: what was noticed, as a sentence.
        examples: the first few places.
        remedy: what to do about it.
    """

    part: str
    rule: str
    severity: Severity
    count: int
    message: str
    examples: tuple[Place, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings about a training set and the sets it is measured on.

    Attributes:
        pairs: the number of readable pairs of each part.
        findings: the worst first.
    """

    pairs: dict[str, int]
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, pairs: dict[str, int], findings: list[Finding]) -> Diagnosis:
        """Put the findings in order of severity."""
        return cls(pairs, tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity))))

    @property
    def fatal(self) -> tuple[Finding, ...]:
        """The findings that would ruin the run."""
        return tuple(finding for finding in self.findings if finding.severity == "fatal")

    def report(self, notes: bool = True) -> list[str]:
        """The diagnosis as lines of plain text.

        Args:
            notes: whether to tell the notes; otherwise they are only counted.
        """
        lines = [", ".join(f"{part}: {count:,} pairs" for part, count in self.pairs.items())]
        for finding in self.findings:
            if finding.severity == "note" and not notes:
                continue
            lines.append(f"{finding.severity:<8} {finding.part}: {finding.message}")
            lines += [f"           {place.file}:{place.line}: {_short(place.text)}" for place in finding.examples]
            if finding.remedy:
                lines.append(f"         what to do: {finding.remedy}")
        counts = [(severity, sum(f.severity == severity for f in self.findings)) for severity in _ORDER]
        found = ", ".join(
            f"{count} {severity}{'s' if count > 1 and severity != 'fatal' else ''}"
            for severity, count in counts
            if count
        )
        return [*lines, found or "nothing wrong was found"]

    def to_json(self) -> dict[str, object]:
        """The diagnosis as plain values that `json.dumps` can write."""
        return {
            "pairs": self.pairs,
            "fatal": bool(self.fatal),
            "findings": [
                {
                    "part": finding.part,
                    "rule": finding.rule,
                    "severity": finding.severity,
                    "count": finding.count,
                    "message": finding.message,
                    "examples": [{"file": p.file, "line": p.line, "text": p.text} for p in finding.examples],
                    "remedy": finding.remedy,
                }
                for finding in self.findings
            ],
        }


def share_of(count: int, total: int) -> str:
    """So many of so many pairs, and the percentage."""
    share = 100 * count / max(total, 1)
    return (
        f"{count:,} of {total:,} pairs ({share:.0f} %)"
        if share >= 10
        else f"{count:,} of {total:,} pairs ({share:.2g} %)"
    )


def _short(text: str) -> str:
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text.replace("\t", " → "))
    return visible if len(visible) <= _WIDTH else visible[: _WIDTH - 1] + "…"
