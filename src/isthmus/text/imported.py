"""What is known of a tokenizer that was not trained here."""

from __future__ import annotations

from typing import Literal

from isthmus.core.config import Config
from isthmus.text.vocabulary import Special


class ImportedConfig(Config):
    """A tokenizer of a model from elsewhere.

    Attributes:
        kind: `library` is a pipeline of the `tokenizers` library, `named-pieces` a SentencePiece model whose pieces have ids of
            their own.
        pad: the id that fills up.
        unk: the id of what no piece can write.
        eos: the id that ends a text.
        control: others that are never generated and never made from user text.
    """

    kind: Literal["library", "named-pieces"]
    pad: int
    unk: int
    eos: int
    control: tuple[int, ...] = ()

    @property
    def special(self) -> Special:
        """The special ids."""
        return Special(self.pad, self.unk, self.eos, self.control)
