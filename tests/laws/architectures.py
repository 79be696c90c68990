"""Every kind of part, in tiny sizes, and the combinations of them that the laws are tested on.

Sizes are distinct primes where they can be, so that no wrong axis fits by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, product, starmap
from types import MappingProxyType
from typing import Any, Final

import pytest
import torch
from torch import Tensor

from isthmus.core.padded import Padded
from isthmus.core.runtime import seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.decoders.recurrent import RecurrentDecoder
from isthmus.model.decoders.transformer import TransformerDecoderLayer
from isthmus.model.encoder_decoder import EncoderDecoder
from tests.laws.coverage import Coverage

SOURCE_SIZE, TARGET_SIZE, D_MODEL, FIRST_ID = 29, 31, 14, 4
TWO_WAY: Final = "two-way"
JOINT: Final = "joint"
JOINTS: Final = (JOINT, "joint-own-layer")
NONE: Final = "none"
BY_DISTANCE: Final = ("alibi-all", "t5-target", "xl-none")
NEAR_DISTANCES: Final = ("attention", "additive", "two-way")
"""Distances act in self-attention: these connections are enough company for them in the fast suite."""
IN_ATTENTION: Final = ("rotary-none", *BY_DISTANCE)
WITHOUT_WEIGHTS: Final = ("fixed-vector", NONE)

Table = Mapping[str, Any]

LAYERS: Final[Mapping[str, Table]] = MappingProxyType(
    {
        "pre-relu": {"heads": 2},
        "post-gelu": {"heads": 7, "norm_first": False, "activation": "gelu", "attention_scale": 0.9},
        "rms-swiglu": {"heads": 2, "head_size": 6, "norm": "rms", "activation": "swiglu", "bias": False},
        "grouped": {
            "heads": 6,
            "key_value_heads": 3,
            "head_size": 4,
            "norm_eps": 0.01,
            "activation": "geglu-tanh",
        },
    }
)
ENCODERS: Final[Mapping[str, Table]] = MappingProxyType(
    {
        "pre-relu": {"layers": 2, "layer": LAYERS["pre-relu"], "summary": "mean"},
        "post-gelu": {"layers": 1, "layer": LAYERS["post-gelu"], "summary": "first", "keep_layers": True},
        "rms-swiglu": {"layers": 1, "layer": LAYERS["rms-swiglu"], "summary": "last"},
        "grouped": {"layers": 3, "layer": LAYERS["grouped"], "summary": "maximum", "keep_layers": True},
        "no-final-norm": {
            "layers": 2,
            "layer": {**LAYERS["pre-relu"], "segment": 3, "memory": 2},
            "final_norm": False,
            "summary": "attentive",
        },
        "lstm-reversed": {"kind": "recurrent", "cell": "lstm", "layers": 2, "reverse": True},
        "gru-both-ways": {"kind": "recurrent", "cell": "gru", "layers": 2, "bidirectional": True},
        "convolutional": {"kind": "convolutional", "layers": 2, "summary": "mean", "keep_layers": True},
    }
)
CONNECTIONS: Final[Mapping[str, Table | None]] = MappingProxyType(
    {
        "attention": {"kind": "multi-head-attention", "heads": 2},
        "grouped": {
            "kind": "multi-head-attention",
            "heads": 6,
            "key_value_heads": 2,
            "head_size": 5,
            "scale": 0.7,
            "bias": False,
        },
        "fixed-vector": {"kind": "fixed-vector"},
        "additive": {"kind": "global-attention", "similarity": "additive"},
        "cosine": {"kind": "global-attention", "similarity": "cosine", "dropout": 0.1},
        "local": {"kind": "local-attention", "similarity": "general", "window": 3},
        NONE: {"kind": "no-connection"},
        TWO_WAY: None,
    }
)
"""Those that the slow suite puts between every encoder and every decoder."""
MORE_CONNECTIONS: Final[Mapping[str, Table]] = MappingProxyType(
    {
        "coverage": {"kind": "coverage"},
        "fertility": {"kind": "coverage", "coverage": "fertility"},
        "neural-coverage": {"kind": "coverage", "coverage": "neural", "size": 3},
        "interactive": {"kind": "interactive-attention"},
        JOINT: {"kind": "joint-attention", "heads": 6, "key_value_heads": 2, "head_size": 5, "scale": 0.7},
        "joint-own-layer": {"kind": "depth", "depth": "own", "read": {"kind": "joint-attention", "heads": 2}},
        "slots": {"kind": "slots", "count": 3, "heads": 7, "read": {"kind": "multi-head-attention", "heads": 2}},
        "own-layer": {"kind": "depth", "depth": "own", "read": {"kind": "global-attention", "similarity": "general"}},
        "mixed-layers": {"kind": "depth", "depth": "mix", "read": {"kind": "multi-head-attention", "heads": 7}},
        "copying": {"kind": "copying", "read": {"kind": "multi-head-attention", "heads": 2}},
        "copying-covered": {"kind": "copying", "read": {"kind": "coverage"}},
        "serial": {"kind": "combination", "way": "serial", "read": {"kind": "global-attention"}},
        "parallel": {"kind": "combination", "way": "parallel", "read": {"kind": "multi-head-attention", "heads": 7}},
        "hierarchical": {"kind": "combination", "way": "hierarchical", "read": {"kind": "coverage"}},
    }
)
"""Each of these meets a Transformer and a recurrent model, which is all that it can tell apart."""
ALL_CONNECTIONS: Final[Mapping[str, Table | None]] = MappingProxyType({**CONNECTIONS, **MORE_CONNECTIONS})
PARTNERS: Final = (("grouped", "grouped"), ("gru-both-ways", "bahdanau"))
PARTNER_OUTSIDES: Final = ("sinusoidal-all", "none-source-target")
COPYING: Final = ("copying", "copying-covered")
SEVERAL: Final = ("serial", "parallel", "hierarchical")
TWO_WAYS: Final = (
    TWO_WAY,
    "coverage",
    "fertility",
    "neural-coverage",
    "interactive",
    *JOINTS,
    "copying-covered",
    "hierarchical",
)
DECODERS: Final[Mapping[str, Table]] = MappingProxyType(
    {
        "pre-relu": {"layers": 1, "layer": LAYERS["pre-relu"]},
        "post-gelu": {"layers": 2, "layer": {**LAYERS["post-gelu"], "segment": 2}, "final_norm": True},
        "rms-swiglu": {"layers": 2, "layer": LAYERS["rms-swiglu"]},
        "grouped": {"layers": 3, "layer": LAYERS["grouped"]},
        "ssru": {"layers": 2, "layer": LAYERS["pre-relu"], "past": "ssru"},
        "luong": {"kind": "recurrent", "cell": "lstm", "layers": 2},
        "luong-feeding": {
            "kind": "recurrent",
            "cell": "lstm",
            "layers": 2,
            "input_feeding": True,
            "first_state": {"kind": "learned"},
        },
        "bahdanau": {
            "kind": "recurrent",
            "cell": "gru",
            "layers": 2,
            "order": "bahdanau",
            "first_state": {"kind": "random"},
        },
    }
)
OUTSIDES: Final[Mapping[str, Table]] = MappingProxyType(
    {
        "sinusoidal-all": {"embedding": {"tied": "all"}},
        "learned-target": {
            "embedding": {"tied": "target", "norm": True, "scale": 1.0, "positions": {"kind": "learned", "offset": 2}},
            "head": {"bias": True},
        },
        "rotary-none": {"embedding": {"tied": "none", "positions": {"kind": "rotary", "base": 100.0}}},
        "none-source-target": {
            "embedding": {"tied": "source-target", "positions": {"kind": "none"}},
            "head": {"scale": 0.5},
        },
        "alibi-all": {"embedding": {"positions": {"kind": "alibi"}}},
        "t5-target": {"embedding": {"tied": "target", "positions": {"kind": "t5", "buckets": 8, "farthest": 5}}},
        "xl-none": {"embedding": {"tied": "none", "positions": {"kind": "transformer-xl", "shared": False}}},
    }
)


@dataclass(frozen=True)
class Architecture:
    """One combination of parts."""

    encoder: str
    connection: str
    decoder: str
    outside: str

    def __str__(self) -> str:
        return f"{self.encoder}+{self.connection}+{self.decoder}+{self.outside}"

    @property
    def recurrent_encoder(self) -> bool:
        return ENCODERS[self.encoder].get("kind") == "recurrent"

    @property
    def attending_encoder(self) -> bool:
        return "kind" not in ENCODERS[self.encoder]

    @property
    def recurrent_decoder(self) -> bool:
        return DECODERS[self.decoder].get("kind") == "recurrent"

    @property
    def attending_decoder(self) -> bool:
        """Whether tokens attend to tokens before them."""
        return not self.recurrent_decoder and self.decoder != "ssru"

    @property
    def target_segment(self) -> int | None:
        """How many tokens the decoder reads at once, if it divides them."""
        segment = DECODERS[self.decoder].get("layer", {}).get("segment")
        return None if segment is None else int(segment)

    @property
    def config(self) -> ModelConfig:
        table = dict(OUTSIDES[self.outside])
        rotary = self.outside == "rotary-none"
        table |= {
            "d_model": D_MODEL,
            "encoder": _small(ENCODERS[self.encoder], rotary),
            "decoder": _small(DECODERS[self.decoder], rotary),
            "connection": ALL_CONNECTIONS[self.connection] or CONNECTIONS["attention"],
        }
        if self.connection in JOINTS and not self.recurrent_decoder:
            table["decoder"]["past"] = NONE
        if self.connection in COPYING:
            table["head"] = {"kind": "pointer-generator"}
        if self.connection in SEVERAL:
            table["sources"] = {"count": 2, "shared": self.connection != "parallel"}
        return ModelConfig.of(table)

    @property
    def sizes(self) -> tuple[int, int]:
        one = self.config.embedding.tied in ("all", "source-target") or self.config.one_vocabulary
        return (TARGET_SIZE, TARGET_SIZE) if one else (SOURCE_SIZE, TARGET_SIZE)

    def model(self, seed: int = 1, sizes: tuple[int, int] | None = None) -> EncoderDecoder:
        """The model in evaluation mode; no weight is 0 or 1, so that none can be forgotten unnoticed."""
        with seeded(seed):
            model = build(self.config, *(sizes or self.sizes))
            if self.connection == TWO_WAY:
                for reader in readers(model):
                    reader.connection = Coverage(D_MODEL)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
        return model.eval()


def _small(part: Table, rotary: bool) -> Table:
    """The part with a small feed-forward layer, and an even head size where positions are rotary."""
    if "layer" not in part:
        return part
    layer = {"feed_forward": 19, **part["layer"]}
    if rotary:
        layer.setdefault("head_size", 6)
    return {**part, "layer": layer}


def readers(model: EncoderDecoder) -> list[TransformerDecoderLayer | RecurrentDecoder]:
    """Whatever has a connection: the layers of a Transformer decoder, or the recurrent decoder."""
    return [m for m in model.decoder.modules() if isinstance(m, TransformerDecoderLayer | RecurrentDecoder)]


def makes_sense(one: Architecture) -> bool:
    """Whether it can be built: something must see the source, and positions that act in self-attention need some."""
    if one.connection == NONE and one.decoder != "luong":
        return False
    if one.connection in MORE_CONNECTIONS and (
        (one.encoder, one.decoder) not in PARTNERS or one.outside not in PARTNER_OUTSIDES
    ):
        return False
    if one.connection in ("own-layer", "mixed-layers", "joint-own-layer") and one.encoder != "grouped":
        return False
    return one.outside not in IN_ATTENTION or one.attending_encoder or one.attending_decoder


def every() -> list[Architecture]:
    """Every encoder with every connection with every decoder; what is outside of them takes turns."""
    outsides = cycle([*OUTSIDES, *OUTSIDES, *list(OUTSIDES)[2:]])  # 19, which divides no number of parts
    named = [Architecture(*names, next(outsides)) for names in product(ENCODERS, CONNECTIONS, DECODERS)]
    named += starmap(Architecture, product(ENCODERS, MORE_CONNECTIONS, DECODERS, PARTNER_OUTSIDES[:1]))
    return [one for one in named if makes_sense(one)]


def pairwise(combinations: Sequence[Architecture]) -> list[Architecture]:
    """A few of the combinations, in which every two parts that occur together anywhere occur together."""

    def pairs(one: Architecture) -> set[tuple[str, str]]:
        parts = [f"{axis}:{name}" for axis, name in enumerate((one.encoder, one.connection, one.decoder, one.outside))]
        return {(a, b) for place, a in enumerate(parts) for b in parts[place + 1 :]}

    missing = set().union(*(pairs(one) for one in combinations))
    chosen = []
    while missing:
        best = max(combinations, key=lambda one: len(pairs(one) & missing))
        chosen.append(best)
        missing -= pairs(best)
    return chosen


EVERY: Final = tuple(every())
SENSIBLE: Final = tuple(
    filter(makes_sense, starmap(Architecture, product(ENCODERS, ALL_CONNECTIONS, DECODERS, OUTSIDES)))
)
FAST: Final = tuple(
    pairwise([one for one in SENSIBLE if one.outside not in BY_DISTANCE or one.connection in NEAR_DISTANCES])
)


def _params() -> Iterator[Any]:
    for one in dict.fromkeys([*FAST, *EVERY]):
        yield pytest.param(one, id=str(one), marks=() if one in FAST else (pytest.mark.slow,))


architectures: Final = pytest.mark.parametrize("architecture", list(_params()))
"""Run a test on each architecture: every pair of parts in the fast suite, the full product in the slow one."""


def rows(*lengths: int, size: int = SOURCE_SIZE, seed: int = 0) -> list[list[int]]:
    """Random ids, one row a length."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(FIRST_ID, size, (length,), generator=generator).tolist() for length in lengths]


def batch(*lengths: int, size: int = SOURCE_SIZE, seed: int = 0) -> Padded:
    return Padded.of(rows(*lengths, size=size, seed=seed))


def agree(ours: Tensor, other: Tensor) -> None:
    """Within 1e-5, relative, in float32; numbers under 0.1 in size within 1e-6."""
    torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-6)


def agree_as_vectors(ours: Tensor, other: Tensor) -> None:
    """Each vector within 1e-5 of its largest feature: what is small was summed from numbers that were not, and has their rounding."""
    size = other.abs().amax(dim=-1, keepdim=True).clamp(min=1e-6)
    torch.testing.assert_close(ours / size, other / size, rtol=0, atol=1e-5)
