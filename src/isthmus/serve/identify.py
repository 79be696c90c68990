"""Which language a text is in, offline: py3langid's 140 languages.

Lui and Baldwin 2012, langid.py: An Off-the-shelf Language Identification Tool, in the maintained and retrained form of py3langid.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from py3langid.langid import MODEL_FILE, LanguageIdentifier


@dataclass(frozen=True, slots=True)
class Guess:
    """A language that a text may be in.

    Attributes:
        language: its tag.
        probability: that it is.
    """

    language: str
    probability: float


class Identifier:
    """Says which language a text is in; the model is read when it is first asked."""

    @cached_property
    def _model(self) -> LanguageIdentifier:
        return LanguageIdentifier.from_model_file(MODEL_FILE)

    def guesses(self, text: str, among: Collection[str] | None = None) -> list[Guess]:
        """The languages that a text may be in, most probable first.

        Args:
            text: any text; of one without letters little can be said.
            among: languages that it can only be in; their probabilities are those among all languages.
        """
        ranked = self._model.rank(text)
        scores = np.array([score for _, score in ranked], dtype=np.float64)
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        return [
            Guess(str(language), float(share))
            for (language, _), share in zip(ranked, shares, strict=True)
            if among is None or language in among
        ]
