"""Configurations, presets, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from isthmus.core.errors import ConfigError
from isthmus.core.padded import Padded
from isthmus.core.runtime import seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.connections.fixed_vector import FixedVectorConfig
from isthmus.model.connections.multi_head_attention import MultiHeadAttentionConfig
from isthmus.model.decoders.transformer import TransformerDecoderConfig
from isthmus.model.encoders.transformer import TransformerEncoderConfig
from isthmus.model.memory import Memory
from isthmus.model.presets import TRANSFORMERS
from isthmus.model.transformer import Transformer
from isthmus.nn.segments import Segments


def size(config: ModelConfig, source: int, target: int) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(config, source, target).parameters())


def transformer_size(d: int, inner: int, layers: int, vocabulary: int) -> int:
    """Counted by hand: pre-norm, biases everywhere, one embedding."""
    attention, feed_forward, norm = 4 * (d * d + d), 2 * d * inner + inner + d, 2 * d
    encoder = layers * (attention + feed_forward + 2 * norm) + norm
    decoder = layers * (2 * attention + feed_forward + 3 * norm) + norm
    return vocabulary * d + encoder + decoder


@pytest.mark.parametrize(("name", "d_model", "inner", "layers", "heads"), TRANSFORMERS)
def test_presets_have_the_size_that_one_counts(name: str, d_model: int, inner: int, layers: int, heads: int) -> None:
    config = ModelConfig.preset(name)
    assert size(config, 8000, 8000) == transformer_size(d_model, inner, layers, 8000)
    assert isinstance(config.encoder, TransformerEncoderConfig)
    assert isinstance(config.decoder, TransformerDecoderConfig)
    assert config.encoder.layer.heads == config.decoder.layer.heads == heads


def test_published_sizes() -> None:
    """Tiny is the Multi30k Transformer of Wu et al. 2021 (2.6 M with 10k merges); base and big are those of the paper."""
    assert size(ModelConfig.preset("tiny"), 8000, 8000) == 2_349_568
    assert size(ModelConfig.preset("base"), 37000, 37000) == pytest.approx(63e6, rel=0.01)
    assert size(ModelConfig.preset("big"), 37000, 37000) == pytest.approx(214e6, rel=0.01)


def test_presets_of_transformers_in_papers() -> None:
    """Post-norm has two norms less: none stands after the last layer."""
    for paper, plain, d_model, dropout in (("vaswani2017", "base", 512, 0.1), ("vaswani2017-big", "big", 1024, 0.3)):
        config = ModelConfig.preset(paper)
        assert size(config, 37000, 37000) == size(ModelConfig.preset(plain), 37000, 37000) - 4 * d_model
        assert (config.embedding.tied, config.embedding.positions.kind) == ("all", "sinusoidal")
        assert isinstance(config.encoder, TransformerEncoderConfig)
        assert isinstance(config.decoder, TransformerDecoderConfig)
        for layer in (config.encoder.layer, config.decoder.layer):
            assert (layer.norm_first, layer.dropout) == (False, dropout)
        assert config.embedding.dropout == dropout
    deep = ModelConfig.preset("deep-shallow")
    assert (deep.encoder.layers, deep.decoder.layers) == (12, 1)
    recurrent = ModelConfig.preset("transformer-xl")
    assert isinstance(recurrent.decoder, TransformerDecoderConfig)
    assert recurrent.decoder.layer.segments == Segments(128, 128)
    assert recurrent.embedding.positions.limit is None


@pytest.mark.parametrize(("tied", "tables"), [("all", 1), ("target", 2), ("source-target", 2), ("none", 3)])
def test_tying(tied: str, tables: int) -> None:
    config = ModelConfig.of({"preset": "tiny", "embedding": {"tied": tied}})
    assert size(config, 1000, 1000) == transformer_size(128, 256, 4, 0) + tables * 1000 * 128


def test_the_sizes_of_two_vocabularies() -> None:
    model = Transformer((11, 17), d_model=8, n_layers=1, n_heads=2).eval()
    names = dict(model.named_parameters())
    assert names["encoder.embedding.weight"].shape == (11, 8)
    assert names["decoder.embedding.weight"].shape == (17, 8)
    assert "head.weight" not in names
    assert model(Padded.of([[10]]), Padded.of([[16, 3]])).shape == (1, 2, 17)


def test_the_transformer_in_one_call() -> None:
    model = Transformer(23, d_model=12, n_layers=(1, 3), n_heads=3, dropout=0.25, feed_forward=17)
    names = dict(model.named_parameters())
    assert sum(".around_feed_forward.norm.weight" in name for name in names if name.startswith("encoder")) == 1
    assert sum(".around_connection.norm.weight" in name for name in names) == 3
    assert names["encoder.layers.0.feed_forward.inner.weight"].shape == (17, 12)
    assert (
        dict(Transformer(23, 12, 1, 3).named_parameters())["encoder.layers.0.feed_forward.inner.weight"].shape[0] == 48
    )
    with pytest.raises(ConfigError, match="heads must divide d_model"):
        Transformer(23, d_model=12, n_heads=5)
    with pytest.raises(ConfigError, match="layers"):
        Transformer(23, d_model=12, n_layers=0, n_heads=3)


def test_the_seed_decides_the_weights() -> None:
    def first(seed: int) -> torch.Tensor:
        with seeded(seed):
            return next(iter(Transformer(23, 12, 1, 3).parameters()))

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_fresh_models_start_near_the_uniform_distribution() -> None:
    model = build(ModelConfig.preset("tiny"), 1000, 1000).eval()
    with torch.no_grad():
        log_probs_BTV = model(Padded.of([[5, 6, 7]] * 7), Padded.of([[2, 8, 9, 11]] * 7))
    assert float(-log_probs_BTV.mean()) == pytest.approx(6.9 + 0.5, abs=0.5)


def test_fields_over_a_preset() -> None:
    config = ModelConfig.of({"preset": "tiny", "d_model": 64, "encoder": {"layer": {"dropout": 0.3}}})
    assert isinstance(config.encoder, TransformerEncoderConfig)
    assert isinstance(config.decoder, TransformerDecoderConfig)
    assert (config.d_model, config.encoder.layer.dropout, config.decoder.layer.dropout) == (64, 0.3, 0.1)
    assert (config.encoder.layers, config.encoder.layer.heads, config.encoder.layer.feed_forward) == (4, 4, 256)
    same_kind = ModelConfig.of({"preset": "tiny", "connection": {"kind": "multi-head-attention", "bias": False}})
    assert same_kind.connection == MultiHeadAttentionConfig(heads=4, bias=False)
    unnamed_kind = ModelConfig.of({"preset": "tiny", "connection": {"bias": False}})
    assert unnamed_kind == same_kind
    assert ModelConfig.of({"preset": "base"}) == ModelConfig.preset("base")
    assert ModelConfig.of({}) == ModelConfig()


def test_another_kind_replaces_the_presets_part() -> None:
    table = {"preset": "tiny", "encoder": {"summary": "mean"}, "connection": {"kind": "fixed-vector"}}
    assert ModelConfig.of(table).connection == FixedVectorConfig()
    assert ModelConfig.of(table).encoder.layers == 4


def test_a_configuration_survives_being_written() -> None:
    config = ModelConfig.of({"preset": "tiny", "connection": {"head_size": 7}})
    assert ModelConfig.of(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("table", "rule", "expected", "got", "fix"),
    [
        ({"preset": "tini"}, "unknown preset", "tiny, small, base, big", "tini", "`tiny`"),
        ({"preset": "enormous"}, "unknown preset", "tiny", "enormous", "name one of them"),
        ({"d_modle": 8}, "unknown field `d_modle`", "a field of the schema", "d_modle = 8", "`d_model`"),
        (
            {"encoder": {"layer": {"dropuot": 0.1}}},
            "unknown field `encoder.layer.dropuot`",
            "",
            "0.1",
            "`dropout`",
        ),
        (
            {"connection": {"kind": "multi-head-attention", "haeds": 2}},
            "unknown field `connection.haeds`",
            "",
            "2",
            "`heads`",
        ),
        (
            {"connection": {"kind": "telepathy"}},
            "invalid field `connection`",
            "'multi-head-attention', 'fixed-vector'",
            "telepathy",
            "correct `connection`",
        ),
        ({"connection": {"heads": 4}}, "invalid field `connection`", "discriminator 'kind'", "4", "`connection`"),
        ({"d_model": "8"}, "invalid field `d_model`", "integer", "'8'", "correct"),
        ({"d_model": 0}, "invalid field `d_model`", "greater than or equal to 1", "0", "correct"),
        ({"embedding": {"tied": "some"}}, "invalid field `embedding.tied`", "'all'", "'some'", "correct"),
        ({"encoder": {"layer": {"heads": True}}}, "invalid field `encoder.layer.heads`", "integer", "True", ""),
        ({"encoder": {"layer": {"dropout": 1.0}}}, "invalid field `encoder.layer.dropout`", "less than 1", "1", ""),
        ({"decoder": {"layers": 0}}, "invalid field `decoder.layers`", "greater than or equal to 1", "0", ""),
    ],
)
def test_configurations_that_break_the_schema(
    table: dict[str, Any], rule: str, expected: str, got: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        ModelConfig.of(table, "recipe.toml")
    error = caught.value
    assert error.rule.startswith(rule)
    assert expected in error.expected
    assert got in error.got
    assert error.where == ("model.preset" if "preset" in table else "recipe.toml")
    assert fix in error.fix


@pytest.mark.parametrize(
    ("table", "sizes", "rule", "expected", "got", "where", "fix"),
    [
        (
            {"d_model": 10, "encoder": {"layer": {"heads": 3}}},
            (8, 8),
            "heads must divide d_model",
            "a divisor of 10",
            "heads = 3",
            "layer",
            "head_size",
        ),
        (
            {"d_model": 10, "connection": {"kind": "multi-head-attention", "heads": 3}},
            (8, 8),
            "heads must divide d_model",
            "a divisor of 10",
            "heads = 3",
            "model.connection",
            "head_size",
        ),
        (
            {"decoder": {"layer": {"heads": 8, "key_value_heads": 3}}},
            (8, 8),
            "key_value_heads must divide heads",
            "a divisor of 8",
            "key_value_heads = 3",
            "layer",
            "change key_value_heads",
        ),
        (
            {"connection": {"kind": "multi-head-attention", "heads": 8, "key_value_heads": 3}},
            (8, 8),
            "key_value_heads must divide heads",
            "a divisor of 8",
            "key_value_heads = 3",
            "model.connection",
            "change key_value_heads",
        ),
        (
            {"embedding": {"positions": {"kind": "rotary"}}, "encoder": {"layer": {"head_size": 5}}},
            (8, 8),
            "rotary positions turn pairs",
            "an even head size",
            "head_size = 5",
            "layer",
            "head_size",
        ),
        (
            {"embedding": {"positions": {"kind": "t5", "buckets": 32, "farthest": 8}}},
            (8, 8),
            "wide buckets begin where the single distances end",
            "farthest above 8, the single distances of 32",
            "farthest = 8",
            "model.embedding.positions",
            "raise `farthest`",
        ),
        (
            {"encoder": {"layer": {"heads": 2, "memory": 3}}},
            (8, 8),
            "what is remembered stands before a segment",
            "layer.segment",
            "memory = 3 without it",
            "layer.memory",
            "set `segment`",
        ),
        (
            {"connection": {"kind": "fixed-vector"}},
            (8, 8),
            "reads a summary",
            "model.encoder.summary",
            "none",
            "model",
            "encoder.summary",
        ),
        ({}, (8, 16), "tied over one vocabulary", "tied = target", "8 source and 16 target", "tied", "joint"),
        (
            {"embedding": {"tied": "source-target"}},
            (8, 16),
            "tied over one vocabulary",
            "tied = none",
            "8 source and 16 target",
            "tied",
            "joint",
        ),
    ],
)
def test_parts_that_do_not_fit(
    table: dict[str, Any], sizes: tuple[int, int], rule: str, expected: str, got: str, where: str, fix: str
) -> None:
    part = {"layers": 1, "layer": {"heads": 2}}
    connection = {"kind": "multi-head-attention", "heads": 2}
    small = {"d_model": 16, "encoder": part, "decoder": part, "connection": connection}
    config = ModelConfig.of(small | table)
    with pytest.raises(ConfigError) as caught:
        build(config, *sizes)
    error = caught.value
    assert rule in error.rule
    assert expected in error.expected
    assert got in error.got
    assert where in error.where
    assert fix in error.fix
    assert error.exit_code == 2


def test_a_memory_without_a_summary() -> None:
    config = ModelConfig.of({"preset": "tiny", "encoder": {"summary": "last"}, "connection": {"kind": "fixed-vector"}})
    model = build(config, 8, 8)
    memory = model.encode(Padded.of([[4, 5]]))
    with pytest.raises(ConfigError, match="reads a summary") as caught:
        model.start(Memory(memory.states_BSD, memory.mask_BS))
    assert caught.value.where == "model.encoder.summary"


def test_every_layer_is_kept_on_request() -> None:
    config = ModelConfig.of({"preset": "tiny", "encoder": {"keep_layers": True, "final_norm": False}})
    memory = build(config, 8, 8).eval().encode(Padded.of([[4, 5, 6]]))
    assert [layer.shape for layer in memory.layers] == [(1, 3, 128)] * 5
    assert torch.equal(memory.layers[-1], memory.states_BSD)
    assert memory.summary_BD is None


def test_the_scale_of_embeddings_is_the_papers_unless_given() -> None:
    """With no layers' worth of difference but the scale, the embedding's output scales."""
    for scale, expected in ((None, 128**0.5), (3.0, 3.0), (1.0, 1.0)):
        config = ModelConfig.of({"preset": "tiny", "embedding": {"scale": scale, "positions": {"kind": "none"}}})
        model = build(config, 8, 8).eval()
        embedding = model.encoder.get_submodule("embedding")
        weight = dict(embedding.named_parameters())["weight"]
        found = embedding(torch.tensor([[5]]), torch.tensor([[0]]))
        torch.testing.assert_close(found[0, 0], weight[5] * expected)
