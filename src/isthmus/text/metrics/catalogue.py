"""The metrics by name."""

from __future__ import annotations

import difflib

from isthmus.core.errors import InputError
from isthmus.text.metrics import sacre
from isthmus.text.metrics.errors import ErrorRate, Match
from isthmus.text.metrics.metric import Metric
from isthmus.text.metrics.rouge import Rouge

NAMES = (
    *("bleu", "bleu-tokenized", "bleu-zh", "bleu-char", "chrf", "ter"),
    *("exact", "word-error", "wer", "per", "cer"),
    *("rouge1", "rouge2", "rougeL"),
)


def metric(name: str) -> Metric:
    """The metric of a name.

    `bleu` (sacreBLEU's 13a tokens), `bleu-tokenized` (text that is tokenised already), `bleu-zh` (Chinese),
    `bleu-char` (characters), `chrf`, `ter`; `exact` (outputs equal to a reference), `word-error` (those equal to
    none: the word error rate of grapheme-to-phoneme), `per` (symbol error rate: phonemes between spaces), `wer` (the
    same, over words), `cer` (characters); `rouge1`, `rouge2`, `rougeL` (F1).

    Raises:
        InputError: there is none of this name; the error names the nearest.
    """
    match name:
        case "bleu":
            return sacre.bleu(name, "13a")
        case "bleu-tokenized":
            return sacre.bleu(name, "none")
        case "bleu-zh":
            return sacre.bleu(name, "zh")
        case "bleu-char":
            return sacre.bleu(name, "char")
        case "chrf":
            return sacre.chrf()
        case "ter":
            return sacre.ter()
        case "exact" | "word-error":
            return Match(name, "%", name == "exact")
        case "wer" | "per":
            return ErrorRate(name, "%", False, "words")
        case "cer":
            return ErrorRate(name, "%", False, "characters")
        case "rouge1":
            return Rouge(name, "%", True, order=1)
        case "rouge2":
            return Rouge(name, "%", True, order=2)
        case "rougeL":
            return Rouge(name, "%", True, order=0)
    near = difflib.get_close_matches(name.casefold(), [known.casefold() for known in NAMES], n=1, cutoff=0.5)
    nearest = next((known for known in NAMES if [known.casefold()] == near), None)
    raise InputError(
        "unknown metric",
        expected=f"one of {', '.join(NAMES)}",
        got=repr(name),
        fix=f"did you mean `{nearest}`?" if nearest else "choose one of them",
    )
