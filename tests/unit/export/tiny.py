"""Bundles of tiny random models that transformers has a class for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import torch

from isthmus.core.runtime import seeded
from isthmus.data.codec import Codec, CodecConfig
from isthmus.model.build import ModelConfig, build
from isthmus.model.bundle import Bundle
from isthmus.text.build import train_tokenizer
from isthmus.text.tokenizer import CharacterConfig

POST: Final[Mapping[str, Any]] = MappingProxyType({"norm_first": False})
KINDS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "pegasus": {"head": {"bias": True}},
        "marian": {"layer": {**POST, "activation": "silu"}, "embedding": {"scale": 1.0, "tied": "target"}},
        "bart": {
            "layer": {**POST, "activation": "gelu"},
            "embedding": {"norm": True, "scale": 1.0, "positions": {"kind": "learned", "maximum": 97}},
            "head": {"bias": True},
        },
        "mbart": {"embedding": {"norm": True, "positions": {"kind": "learned", "maximum": 97, "offset": 2}}},
        "t5": {"like_t5": True, "layer": {"activation": "relu"}, "head": {"scale": 0.25}},
        "umt5": {"like_t5": True, "layer": {"activation": "geglu-tanh"}, "shared": False, "head": {"scale": 0.25}},
        "m2m_100": {"embedding": {"positions": {"maximum": 97, "offset": 1, "waves": "inclusive"}}},
    }
)


def table(kind: str) -> dict[str, Any]:
    """The table of a model of a kind."""
    changes = KINDS[kind]
    if changes.get("like_t5"):
        return _like_t5(changes)
    layer = {"heads": 2, "feed_forward": 19, **changes.get("layer", {})}
    return {
        "d_model": 16,
        "embedding": {"positions": {"maximum": 97}, **changes.get("embedding", {})},
        "encoder": {"layers": 1, "layer": layer},
        "connection": {"kind": "multi-head-attention", "heads": 4},
        "decoder": {"layers": 2, "layer": {**layer, "heads": 4, "feed_forward": 23}},
        "head": changes.get("head", {}),
    }


def _like_t5(changes: Mapping[str, Any]) -> dict[str, Any]:
    layer = {"heads": 4, "head_size": 3, "attention_scale": 1.0, "feed_forward": 19, "norm": "rms", "norm_eps": 1e-6}
    layer |= {"bias": False, **changes["layer"]}
    positions = {"kind": "t5", "buckets": 8, "farthest": 11, "shared": changes.get("shared", True)}
    return {
        "d_model": 16,
        "embedding": {"scale": 1.0, "positions": positions},
        "encoder": {"layers": 2, "layer": layer},
        "connection": {"kind": "multi-head-attention", "heads": 4, "head_size": 3, "scale": 1.0, "bias": False},
        "decoder": {"layers": 2, "layer": layer},
        "head": changes.get("head", {}),
    }


def bundle(model: Mapping[str, Any], codec: Codec | None = None, info: Mapping[str, Any] | None = None) -> Bundle:
    """A bundle in which no weight is 0 or 1, whose outputs vary and end."""
    if codec is None:
        tokenizer = train_tokenizer(CharacterConfig(), ["abcdefgh .!?\nABCDEFGH"])
        codec = Codec(tokenizer, tokenizer, CodecConfig())
    config, size = ModelConfig.of(model), codec.source.vocabulary.size
    with seeded(7):
        made = build(config, size, size).eval()
        with torch.no_grad():
            for parameter in made.parameters():
                spread = parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 0.2
                parameter.add_(torch.randn_like(parameter) * spread)
            if made.head.bias is not None:
                made.get_parameter("head.bias")[codec.target.vocabulary.eos] = 2.0
    return Bundle(made, config, codec, {}, info or {})
