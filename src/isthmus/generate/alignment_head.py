"""Which layer and head of a decoder says best which word comes from which, and where that was found out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from isthmus.core.config import Config, parse
from isthmus.model.bundle import Bundle

FIELD = "alignment"
"""The field of a bundle's `info`; bundles without it are read by the mean over the heads of the last layer."""


class AlignmentHead(Config):
    """The head whose attention is the word alignment.

    Attributes:
        layer: of the decoder, from 0.
        head: of that layer, from 0; `None` where the mean over its heads is better than each of them.
        error: the share of the judge's links that this head puts elsewhere. The judge links each word of an output at most once and
            only linked words count, so this is the alignment error rate (Och and Ney 2003) over them.
        error_of_mean: the same of the mean over the heads of the last layer.
        links: how many links of the judge it was measured on.
        judge: what was taken for the truth: `ibm-model-1` is the links on which both directions of IBM Model 1 agree, not a
            person's.
    """

    layer: NonNegativeInt
    head: NonNegativeInt | None
    error: float = Field(ge=0, le=1)
    error_of_mean: float = Field(ge=0, le=1)
    links: PositiveInt
    judge: Literal["ibm-model-1"] = "ibm-model-1"


def alignment_head(bundle: Bundle) -> AlignmentHead | None:
    """The head that was chosen when the bundle was made; older bundles have none.

    Raises:
        ConfigError: the field is not what it should be.
    """
    value = bundle.info.get(FIELD)
    return None if value is None else parse(AlignmentHead, value, f"config.json: info.{FIELD}")


def looks_of(bundle: Bundle) -> tuple[int, int | None]:
    """The layer and the head that say where the decoder looked, as engines take them.

    Raises:
        ConfigError: as `alignment_head`.
    """
    noted = alignment_head(bundle)
    return (-1, None) if noted is None else (noted.layer, noted.head)
