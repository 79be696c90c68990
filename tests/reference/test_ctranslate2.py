"""What CTranslate2 computes with an exported model is what the model computes: every architecture that it can run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest
import torch

from isthmus.core.errors import InputError
from isthmus.core.runtime import Runtime, seeded
from isthmus.data.codec import Codec, CodecConfig
from isthmus.engines.ct2.folder import load, save_into, write
from isthmus.engines.ct2.searcher import CTranslate2Searcher
from isthmus.engines.ct2.support import obstacle
from isthmus.engines.torch_engine import TorchEngine
from isthmus.export.comparison import EXACT, Probe, compare
from isthmus.export.sides import Searching, Stepping
from isthmus.generate.delegate import Delegation
from isthmus.generate.inputs import Task
from isthmus.generate.jobs import Target
from isthmus.generate.options import GenerationOptions
from isthmus.model.build import ModelConfig, build
from isthmus.model.bundle import Bundle
from isthmus.text.build import train_tokenizer
from isthmus.text.tokenizer import SymbolConfig
from isthmus.text.vocabulary import BOS, EOS
from tests.laws.architectures import D_MODEL, EVERY, LAYERS, OUTSIDES, Architecture

LONGEST = 7


SEVEN: Final = {"kind": "multi-head-attention", "heads": 7}
MORE: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "post-norm": {
            "encoder": {"kind": "transformer", "layers": 2, "layer": LAYERS["post-gelu"]},
            "connection": SEVEN,
            "decoder": {"kind": "transformer", "layers": 2, "layer": {**LAYERS["post-gelu"], "activation": "silu"}},
            "embedding": {"tied": "target", "norm": True, "positions": {"kind": "learned", "offset": 2}},
        },
        "post-norm with a final norm": {
            "encoder": {"kind": "transformer", "layers": 1, "layer": LAYERS["post-gelu"], "final_norm": True},
            "connection": SEVEN,
            "decoder": {"kind": "transformer", "layers": 1, "layer": {"heads": 7}, "final_norm": False},
            "embedding": {"tied": "none"},
            "head": {"bias": True, "scale": 0.7},
        },
        "norms of two kinds": {
            "encoder": {
                "kind": "transformer",
                "layers": 1,
                "layer": {"heads": 2, "norm": "rms", "activation": "gelu-tanh"},
            },
            "connection": {"kind": "multi-head-attention", "heads": 2, "key_value_heads": 1, "bias": False},
            "decoder": {
                "kind": "transformer",
                "layers": 2,
                "layer": {"heads": 2, "key_value_heads": 1, "activation": "geglu-tanh"},
            },
            "embedding": {"tied": "source-target", "norm": True, "scale": 1.3, "positions": {"kind": "none"}},
        },
    }
)


def _able() -> dict[str, ModelConfig]:
    alike = [
        ("pre-relu", "attention", "pre-relu"),
        ("rms-swiglu", "attention", "rms-swiglu"),
        ("grouped", "grouped", "grouped"),
    ]
    chosen = [Architecture(*parts, outside) for parts in alike for outside in OUTSIDES]
    chosen += [one for one in EVERY if one.connection != "two-way"]
    found = {str(one): one.config for one in chosen if not obstacle(one.config)}
    return found | {name: ModelConfig.of({"d_model": D_MODEL, **table}) for name, table in MORE.items()}


ABLE: Final = MappingProxyType(_able())
FIRST: Final = next(iter(ABLE))
FAST: Final = (FIRST, "grouped+grouped+grouped+learned-target", "rms-swiglu+attention+rms-swiglu+rotary-none", *MORE)
SOME: Final = [pytest.param(one, marks=() if one in FAST else (pytest.mark.slow,)) for one in ABLE]


def bundle_of(config: ModelConfig) -> Bundle:
    """The model over real vocabularies; no weight is 0 or 1, so that none can be forgotten unnoticed."""
    target = train_tokenizer(SymbolConfig(), [" ".join(f"t{number}" for number in range(11))])
    source = target
    if config.embedding.tied in ("target", "none"):
        source = train_tokenizer(SymbolConfig(), [" ".join(f"s{number}" for number in range(23))])
    with seeded(1), torch.no_grad():
        model = build(config, source.vocabulary.size, target.vocabulary.size)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return Bundle(model.eval(), config, Codec(source, target, CodecConfig()))


def check(config: ModelConfig, folder: Path, length_penalty: float = 1.0) -> None:
    """Nothing is ruled out on either side, so that the whole vocabulary is compared."""
    bundle = bundle_of(config)
    write(bundle, folder)
    options = GenerationOptions.of(
        {
            "num_beams": 3,
            "num_return_sequences": 3,
            "early_stopping": True,
            "max_length": LONGEST,
            "length_penalty": length_penalty,
            "token_scores": False,
        }
    )
    target = Target(EOS, ())
    ours = Stepping(TorchEngine(bundle.model, (BOS,)), target, bundle.codec.target.vocabulary.size)
    searcher = CTranslate2Searcher(folder, bundle.codec, "float32", Runtime(threads=1))
    theirs = Searching(Delegation(searcher), target)
    found = compare(ours, theirs, Probe.of((), bundle.codec, Task(positions=LONGEST)), bundle.codec, [options])
    assert found.worst < EXACT
    assert found.score < EXACT
    assert found.different == 0
    found.check(exact=True)


def test_most_kinds_of_parts_can_be_run() -> None:
    layers = [one.encoder.layer for one in ABLE.values() if one.encoder.kind == "transformer"]
    assert len(ABLE) > 15
    assert {one.embedding.positions.kind for one in ABLE.values()} == {"sinusoidal", "learned", "rotary", "none"}
    assert {one.embedding.tied for one in ABLE.values()} == {"all", "target", "source-target", "none"}
    assert {(one.norm, one.norm_first) for one in layers} == {("layer", True), ("layer", False), ("rms", True)}
    assert {one.key_value_heads is None for one in layers} == {True, False}


@pytest.mark.parametrize("name", SOME)
def test_scores_and_beams_are_the_same(name: str, tmp_path: Path) -> None:
    check(ABLE[name], tmp_path)


@pytest.mark.parametrize("length_penalty", [0.5, 2.0])
def test_lengths_count_the_same(length_penalty: float, tmp_path: Path) -> None:
    check(ABLE[FIRST], tmp_path, length_penalty)


@pytest.mark.parametrize("name", SOME)
def test_the_weights_are_read_back_without_ctranslate2(name: str, tmp_path: Path) -> None:
    bundle = bundle_of(ABLE[name])
    save_into(bundle, tmp_path)
    again = load(tmp_path)
    found = dict(again.model.named_parameters())
    for each, parameter in bundle.model.named_parameters():
        if "summary" in each:
            continue
        first = bundle.config.embedding.positions.offset if "positions" in each else 0
        assert torch.equal(found[each][first:], parameter[first:]), each
    assert again.codec.source.vocabulary == bundle.codec.source.vocabulary


@pytest.mark.parametrize(
    ("encoder", "connection", "decoder", "says"),
    [
        ("gru-both-ways", "attention", "pre-relu", "a recurrent encoder"),
        ("pre-relu", "attention", "luong", "a recurrent decoder"),
        ("pre-relu", "additive", "pre-relu", "the connection `global-attention`"),
        ("pre-relu", "grouped", "pre-relu", "6 heads over the source beside 2"),
        ("grouped", "attention", "pre-relu", "eps 0.01 in the encoder and 1e-05"),
        ("no-final-norm", "attention", "pre-relu", "over segments"),
        ("pre-relu", "attention", "ssru", "looks back by ssru"),
    ],
)
def test_others_are_refused_with_the_reason(
    encoder: str, connection: str, decoder: str, says: str, tmp_path: Path
) -> None:
    bundle = bundle_of(Architecture(encoder, connection, decoder, "sinusoidal-all").config)
    with pytest.raises(InputError, match="CTranslate2 cannot run this architecture") as caught:
        write(bundle, tmp_path)
    assert says in caught.value.got
    assert list(tmp_path.iterdir()) == []
