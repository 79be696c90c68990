"""Where the weights of a model stand in CTranslate2's files: one table, read in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.engines.ct2.support import check
from isthmus.model.blocks import LayerConfig
from isthmus.model.build import ModelConfig

GATED = ("swiglu", "geglu-tanh")
"""Activations of a gate."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A variable of CTranslate2's, and the parameters of ours that it holds one below the other.

    Attributes:
        variable: its name, for example `encoder/layer_0/ffn/linear_0/weight`.
        parameters: names of ours.
        skipped: so many first rows of ours that are no part of it (positions that no input has).
    """

    variable: str
    parameters: tuple[str, ...]
    skipped: int = 0


def layout(config: ModelConfig) -> tuple[Slot, ...]:
    """Every weight of a model.

    Args:
        config: of the model.

    Raises:
        InputError: CTranslate2 cannot run it.
    """
    encoder, connection, decoder = check(config)
    found = [Slot("encoder/embeddings_0/weight", ("encoder.embedding.weight",))]
    found.append(Slot("decoder/embeddings/weight", ("decoder.embedding.weight",)))
    found.append(Slot("decoder/projection/weight", ("head.weight",)))
    if config.head.bias:
        found.append(Slot("decoder/projection/bias", ("head.bias",)))
    for side, part in (("encoder", encoder), ("decoder", decoder)):
        found += _outside(side, config, decoder.layer)
        for number in range(part.layers):
            theirs, ours = f"{side}/layer_{number}", f"{side}.layers.{number}"
            found += _self_attention(theirs, ours, part.layer)
            if side == "decoder":
                found += _connection(theirs, ours, part.layer, connection.bias)
            found += _feed_forward(theirs, ours, part.layer)
        if part.final_norm if part.final_norm is not None else part.layer.norm_first:
            found += _norm(f"{side}/layer_norm", f"{side}.final_norm", part.layer)
    return tuple(found)


def _outside(side: str, config: ModelConfig, normed_as: LayerConfig) -> Iterator[Slot]:
    """What is added to the embeddings of a side, and their norm, which is of the decoder's kind on both."""
    positions = config.embedding.positions
    if positions.kind == "learned":
        name = f"{side}.embedding.positions.weight"
        yield Slot(f"{side}/position_encodings/encodings", (name,), positions.offset)
    if config.embedding.norm:
        yield from _norm(f"{side}/layernorm_embedding", f"{side}.embedding.norm", normed_as)


def _norm(theirs: str, ours: str, layer: LayerConfig) -> Iterator[Slot]:
    yield Slot(f"{theirs}/gamma", (f"{ours}.weight",))
    if layer.norm == "layer":
        yield Slot(f"{theirs}/beta", (f"{ours}.bias",))


def _linear(theirs: str, ours: tuple[str, ...], bias: bool) -> Iterator[Slot]:
    yield Slot(f"{theirs}/weight", tuple(f"{name}.weight" for name in ours))
    if bias:
        yield Slot(f"{theirs}/bias", tuple(f"{name}.bias" for name in ours))


def _self_attention(theirs: str, ours: str, layer: LayerConfig) -> Iterator[Slot]:
    own = f"{ours}.attention"
    together = tuple(f"{own}.{name}" for name in ("query", "key", "value"))
    yield from _norm(f"{theirs}/self_attention/layer_norm", f"{ours}.around_attention.norm", layer)
    yield from _linear(f"{theirs}/self_attention/linear_0", together, layer.bias)
    yield from _linear(f"{theirs}/self_attention/linear_1", (f"{own}.output",), layer.bias)


def _connection(theirs: str, ours: str, layer: LayerConfig, bias: bool) -> Iterator[Slot]:
    own = f"{ours}.connection"
    yield from _norm(f"{theirs}/attention/layer_norm", f"{ours}.around_connection.norm", layer)
    yield from _linear(f"{theirs}/attention/linear_0", (f"{own}.query",), bias)
    yield from _linear(f"{theirs}/attention/linear_1", (f"{own}.key", f"{own}.value"), bias)
    yield from _linear(f"{theirs}/attention/linear_2", (f"{own}.output",), bias)


def _feed_forward(theirs: str, ours: str, layer: LayerConfig) -> Iterator[Slot]:
    """With a gate, the gate is what goes through the activation, so it comes first."""
    own, gated = f"{ours}.feed_forward", layer.activation in GATED
    yield from _norm(f"{theirs}/ffn/layer_norm", f"{ours}.around_feed_forward.norm", layer)
    yield from _linear(f"{theirs}/ffn/linear_0", (f"{own}.gate" if gated else f"{own}.inner",), layer.bias)
    if gated:
        yield from _linear(f"{theirs}/ffn/linear_0_noact", (f"{own}.inner",), layer.bias)
    yield from _linear(f"{theirs}/ffn/linear_1", (f"{own}.outer",), layer.bias)
