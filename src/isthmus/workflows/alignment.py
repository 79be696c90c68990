"""Note in a finished bundle which head of it is a word alignment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from isthmus.data.corpora import Corpus
from isthmus.evaluate.alignment_choice import choose_alignment_head
from isthmus.generate.alignment_head import FIELD
from isthmus.model.bundle import CARD, Bundle


def note_alignment(folder: Path, dev: Corpus, train: Corpus) -> None:
    """Choose the head on a development set, and write it into the bundle's `info`; nothing changes where none can be chosen.

    Args:
        folder: of the bundle, which is replaced as a whole.
        dev: to judge by.
        train: for the judge to learn from.
    """
    bundle = Bundle.load(folder)
    chosen = choose_alignment_head(bundle, dev.examples(), train.examples())
    if chosen is None:
        return
    info = {**bundle.info, FIELD: chosen.model_dump(mode="json")}
    if info != dict(bundle.info):
        card = (folder / CARD).read_text(encoding="utf-8")
        replace(bundle, info=info).save(folder, card)
