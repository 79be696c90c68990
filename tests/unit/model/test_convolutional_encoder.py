"""The convolutional encoder: how far it sees, what it keeps, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from isthmus.core.errors import ConfigError, InputError
from isthmus.core.padded import Padded
from isthmus.model.build import ModelConfig, build
from isthmus.model.encoder_decoder import EncoderDecoder

LENGTH = 23


def model(**encoder: Any) -> EncoderDecoder:
    table = {
        "d_model": 14,
        "encoder": {"kind": "convolutional", **encoder},
        "connection": {"heads": 2, "kind": "multi-head-attention"},
        "decoder": {"layers": 1, "layer": {"heads": 2, "feed_forward": 19}},
    }
    return build(ModelConfig.of(table), 29, 29).eval()


@pytest.mark.parametrize(("layers", "width"), [(1, 3), (2, 3), (2, 5), (3, 1)])
@torch.no_grad()
def test_a_position_sees_its_neighbours_and_no_further(layers: int, width: int) -> None:
    encoder, ids = model(layers=layers, width=width), torch.randint(4, 28, (1, LENGTH))
    changed = ids.clone()
    changed[0, 11] += 1
    length = torch.tensor([LENGTH])
    moved = encoder.encode(Padded(changed, length)).states_BSD - encoder.encode(Padded(ids, length)).states_BSD
    far = layers * (width - 1) // 2
    seen = [place for place in range(LENGTH) if float(moved[0, place].abs().max()) > 0]
    assert seen == list(range(11 - far, 12 + far))


@torch.no_grad()
def test_the_states_of_every_layer_on_request() -> None:
    memory = model(layers=3, keep_layers=True, summary="mean").encode(Padded.of([[4, 5, 6]]))
    assert len(memory.layers) == 4
    assert torch.equal(memory.layers[-1], memory.states_BSD)
    assert memory.summary_BD is not None
    assert model(layers=3).encode(Padded.of([[4]])).layers == ()


def test_what_it_refuses() -> None:
    with pytest.raises(ConfigError, match="in the middle of what its kernel sees") as even:
        model(width=4)
    assert (even.value.expected, even.value.got, even.value.fix) == ("an odd width", "width = 4", "take 5")
    assert even.value.where == "model.encoder.width"
    pairs = Padded(torch.tensor([[4, 5]]), torch.tensor([2]), torch.ones(1, 2, 2, dtype=torch.bool))
    with pytest.raises(InputError, match="sees neighbours, whoever they are") as caught:
        model().encode(pairs)
    assert (caught.value.where, caught.value.exit_code) == ("source.attend", 2)
    limited = ModelConfig.of({"encoder": {"kind": "convolutional"}, "embedding": {"positions": {"maximum": 3}}})
    with pytest.raises(InputError, match="longer than the model has positions"):
        build(limited, 29, 29).encode(Padded.of([[4, 5, 6, 7]]))
