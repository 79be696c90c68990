"""A bundle of a tiny random model over characters whose outputs vary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from isthmus.data.codec import Codec, CodecConfig
from isthmus.model.build import ModelConfig, build
from isthmus.model.bundle import Bundle
from isthmus.text.build import train_tokenizer
from isthmus.text.tokenizer import CharacterConfig
from isthmus.text.vocabulary import EOS

MODEL = {
    "preset": "tiny",
    "d_model": 32,
    "embedding": {"tied": "none", "positions": {"maximum": 97}},
    "encoder": {"layers": 1},
    "decoder": {"layers": 2},
    "head": {"bias": True},
}


def tiny_bundle(
    info: Mapping[str, Any] | None = None,
    generation: Mapping[str, Any] | None = None,
    codec: Mapping[str, Any] | None = None,
    end_bonus: float = 3.5,
) -> Bundle:
    tokenizer = train_tokenizer(CharacterConfig(), ["abcdefgh .!?\nABCDEFGH"])
    size = tokenizer.vocabulary.size
    config = ModelConfig.of(MODEL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = build(config, size, size).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.copy_(torch.randn_like(parameter) * 2 * parameter.shape[-1] ** -0.5)
            model.get_parameter("head.bias")[EOS] = end_bonus
    return Bundle(
        model, config, Codec(tokenizer, tokenizer, CodecConfig(**(codec or {}))), generation or {}, info or {}
    )
