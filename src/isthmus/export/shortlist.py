"""A lexical shortlist: for each piece of a source, the pieces that its translation may have, so that few are scored at a step.

Jean et al. 2015, On Using Very Large Target Vocabulary for Neural Machine Translation, section 3.3; learned by IBM Model 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec
from isthmus.data.example import Example
from isthmus.evaluate.ibm_model_1 import lexicon

MOST_PAIRS, MOST_LINKS = 100_000, 8_000_000
COMMON, LIKELY = 200, 50


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Which pieces may come.

    Attributes:
        common: those that always may.
        likely: those that may where a piece of the source stands.
    """

    common: tuple[str, ...]
    likely: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, examples: Iterable[Example], codec: Codec) -> Shortlist:
        """Learn from pairs: up to 100,000, and up to 8 million links between their pieces.

        Args:
            examples: training pairs.
            codec: of the model.

        Raises:
            InputError: a piece of the model has white space in it, which divides the pieces of CTranslate2's file; or there is no pair.
        """
        odd = [
            piece
            for side in (codec.source, codec.target)
            for piece in side.vocabulary.pieces
            if piece.split() != [piece]
        ]
        if odd:
            raise InputError(
                "a shortlist is a file whose pieces are divided by white space",
                expected="pieces without white space, as SentencePiece's",
                got=repr(odd[0]),
                where="--shortlist",
                fix="leave out --shortlist; small vocabularies gain nothing by it",
            )
        sources, targets, links = [], [], 0
        for source, target in codec.pairs(list(islice(examples, MOST_PAIRS))):
            links += (len(source) + 1) * len(target)
            if links > MOST_LINKS:
                break
            sources.append([codec.source.vocabulary.piece(id) for id in source])
            targets.append([codec.target.vocabulary.piece(id) for id in target])
        if not sources:
            raise InputError(
                "a shortlist is learned from pairs", expected="at least one", got="none", where="--shortlist"
            )
        often = Counter(piece for target in targets for piece in target).most_common(COMMON)
        return cls(tuple(piece for piece, _ in often), lexicon(sources, targets, LIKELY))

    def text(self) -> str:
        """The file that CTranslate2 reads: a piece of the source (none for what always may come), a tab, and pieces of the target."""
        rows = [("", self.common), *self.likely.items()]
        return "".join(f"{piece}\t{' '.join(may)}\n" for piece, may in rows)
