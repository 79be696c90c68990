"""A tiny bundle that, as a trained one, finds control pieces unlikely, with a sample of its own outputs."""

from __future__ import annotations

from dataclasses import replace

import torch

from isthmus.data.example import Example
from isthmus.generate.load import translator
from isthmus.model.bundle import Bundle
from tests.unit.generate.tiny_bundle import tiny_bundle

TEXTS = ("abc de", "hg ab c", "a", "bad cafe", "HEAD. ABC!", "fed fed", "b a d", "Deaf ace?", "gab", "had a bed")


def quiet_bundle() -> Bundle:
    """The tiny bundle whose targets are its own outputs, so that its BLEU is high."""
    bundle = tiny_bundle(generation={"max_length": 25}, end_bonus=4.0)
    with torch.no_grad():
        bundle.model.get_parameter("head.bias")[sorted(bundle.codec.target.vocabulary.control)] = -30.0
    machine = translator(bundle)
    outputs = machine.generate(TEXTS, num_beams=5, early_stopping=True, guards=False)
    return replace(bundle, sample=tuple(Example((one,), other) for one, other in zip(TEXTS, outputs, strict=True)))
