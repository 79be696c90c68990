"""T5's relative bias against Hugging Face's T5 with copied weights: the addend alone, the encoder, the decoder's self-attention.

B batch, T target position, S source position, D model.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from isthmus.core.padded import Padded
from isthmus.core.runtime import seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.nn.bias import RelativeBias

pytest.importorskip("transformers")
from transformers import T5Config, T5Model
from transformers.models.t5.modeling_t5 import T5Attention

B, T, S, D, H, K, F, V, LAYERS = 3, 17, 23, 22, 4, 5, 13, 29, 2
NAMES = {
    "around_attention.norm": "layer.0.layer_norm",
    "attention.query": "layer.0.SelfAttention.q",
    "attention.key": "layer.0.SelfAttention.k",
    "attention.value": "layer.0.SelfAttention.v",
    "attention.output": "layer.0.SelfAttention.o",
}
CONNECTION = {
    "around_connection.norm": "layer.1.layer_norm",
    "connection.query": "layer.1.EncDecAttention.q",
    "connection.key": "layer.1.EncDecAttention.k",
    "connection.value": "layer.1.EncDecAttention.v",
    "connection.output": "layer.1.EncDecAttention.o",
}


def theirs() -> T5Model:
    config = T5Config(
        vocab_size=V,
        d_model=D,
        d_kv=K,
        d_ff=F,
        num_layers=LAYERS,
        num_heads=H,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=11,
    )
    with seeded(3):
        model = T5Model(config)
        model.train(False)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def ours() -> EncoderDecoder:
    layer = {
        "heads": H,
        "head_size": K,
        "attention_scale": 1.0,
        "feed_forward": F,
        "norm": "rms",
        "norm_eps": 1e-6,
        "bias": False,
    }
    table = {
        "d_model": D,
        "embedding": {"scale": 1.0, "positions": {"kind": "t5", "buckets": 8, "farthest": 11}},
        "encoder": {"layers": LAYERS, "layer": layer},
        "connection": {"kind": "multi-head-attention", "heads": H, "head_size": K, "scale": 1.0, "bias": False},
        "decoder": {"layers": LAYERS, "layer": layer},
    }
    return build(ModelConfig.of(table), V, V).eval()


def copied(their: T5Model, our: EncoderDecoder) -> None:
    """Every weight of theirs to its place in ours; each of ours is set."""
    given = their.state_dict()
    found = {"encoder.embedding.weight": given["shared.weight"]}
    for side in ("encoder", "decoder"):
        found[f"{side}.final_norm.weight"] = given[f"{side}.final_layer_norm.weight"]
        bias = given[f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        found[f"{side}.layers.0.attention.bias.weight"] = bias
        last = 1 if side == "encoder" else 2
        feed_forward = {
            "around_feed_forward.norm": f"layer.{last}.layer_norm",
            "feed_forward.inner": f"layer.{last}.DenseReluDense.wi",
            "feed_forward.outer": f"layer.{last}.DenseReluDense.wo",
        }
        for number in range(LAYERS):
            for name, other in {**NAMES, **feed_forward, **(CONNECTION if side == "decoder" else {})}.items():
                found[f"{side}.layers.{number}.{name}.weight"] = given[f"{side}.block.{number}.{other}.weight"]
    own = dict(our.named_parameters())
    assert own.keys() == found.keys()
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(found[name])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("buckets", "farthest"), [(32, 128), (8, 20), (10, 37)])
@torch.no_grad()
def test_the_addend(causal: bool, buckets: int, farthest: int) -> None:
    config = T5Config(
        d_model=D,
        d_kv=K,
        num_heads=H,
        relative_attention_num_buckets=buckets,
        relative_attention_max_distance=farthest,
        is_decoder=causal,
    )
    attention = T5Attention(config, has_relative_attention_bias=True)
    bias = RelativeBias(H, buckets, farthest, causal)
    bias.weight.copy_(attention.relative_attention_bias.weight)
    place_1S = torch.arange(211)[None]
    nothing: Tensor = torch.zeros(0)
    found_1HTS = bias(nothing, nothing, place_1S[:, :, None] - place_1S[:, None])
    assert torch.equal(found_1HTS, attention.compute_bias(211, 211))


@torch.no_grad()
def test_a_whole_model() -> None:
    their, our = theirs(), ours()
    copied(their, our)
    lengths_B = torch.tensor([S, 5, 11])
    source, target_BT = Padded(torch.randint(4, V, (B, S)), lengths_B), torch.randint(4, V, (B, T))
    expected = their(input_ids=source.ids_BT, attention_mask=source.mask_BT.long(), decoder_input_ids=target_BT)
    memory, decoded = our.read(source, Padded(target_BT, torch.full((B,), T)))
    mask_BS = source.mask_BT
    torch.testing.assert_close(
        memory.states_BSD[mask_BS], expected.encoder_last_hidden_state[mask_BS], rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(decoded.features_BTD, expected.last_hidden_state, rtol=1e-4, atol=1e-5)
