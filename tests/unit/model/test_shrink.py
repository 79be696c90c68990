"""A model of some of another's decoder layers: which stay, that all else is as it was, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from isthmus.core.errors import ConfigError
from isthmus.core.padded import Padded
from isthmus.model.build import ModelConfig, build
from isthmus.model.bundle import Bundle
from isthmus.model.shrink import kept, shrunk
from tests.unit.generate.tiny_bundle import tiny_bundle


def of_layers(decoder: int, **more: object) -> Bundle:
    """A random pre-norm bundle whose decoder has so many layers."""
    bundle = tiny_bundle()
    table = {**bundle.config.model_dump(mode="json"), **more}
    table["decoder"] = {**table["decoder"], "layers": decoder}
    config = ModelConfig.of(table)
    size = bundle.codec.source.vocabulary.size
    torch.manual_seed(3)
    return replace(bundle, model=build(config, size, size).eval(), config=config)


@pytest.mark.parametrize(
    ("of", "to", "stay"), [(2, 1, (1,)), (6, 2, (2, 5)), (12, 3, (3, 7, 11)), (5, 2, (1, 4)), (3, 3, (0, 1, 2))]
)
def test_the_last_layer_of_each_group_stays(of: int, to: int, stay: tuple[int, ...]) -> None:
    assert kept(of, to) == stay


@pytest.mark.parametrize(("of", "to"), [(2, 1), (5, 2)])
@pytest.mark.parametrize("positions", ["sinusoidal", "t5"])
def test_leaving_out_layers_that_do_nothing_changes_nothing(of: int, to: int, positions: str) -> None:
    """A layer of a pre-norm decoder whose three parts end in zeros passes on what it is given."""
    bundle = of_layers(of, embedding={"tied": "none", "positions": {"kind": positions}})
    with torch.no_grad():
        for place in set(range(of)) - set(kept(of, to)):
            for part in ("attention.output", "connection.output", "feed_forward.outer"):
                for kind in ("weight", "bias"):
                    bundle.model.get_parameter(f"decoder.layers.{place}.{part}.{kind}").zero_()
    small = shrunk(bundle, to)
    source, target = Padded.of([[5, 9, 7], [8, 6]]), Padded.of([[2, 9, 9, 5], [2, 7]])
    with torch.no_grad():
        assert torch.equal(small.model(source, target), bundle.model(source, target))
    assert small.config.decoder.layers == to
    assert small.config.encoder == bundle.config.encoder


def test_its_weights_are_its_own() -> None:
    bundle = of_layers(2)
    small = shrunk(bundle, 1)
    with torch.no_grad():
        small.model.get_parameter("encoder.layers.0.attention.query.weight").zero_()
    assert bundle.model.get_parameter("encoder.layers.0.attention.query.weight").any()


@pytest.mark.parametrize("layers", [0, 3])
def test_a_number_of_layers_that_it_has_not_is_refused(layers: int) -> None:
    with pytest.raises(ConfigError, match="1 to 2 layers"):
        shrunk(of_layers(2), layers)


def test_a_recurrent_decoder_is_refused() -> None:
    bundle = tiny_bundle()
    config = bundle.config.model_copy(update={"decoder": ModelConfig.of({"preset": "bahdanau2015"}).decoder})
    with pytest.raises(ConfigError, match="a Transformer"):
        shrunk(replace(bundle, config=config), 1)
