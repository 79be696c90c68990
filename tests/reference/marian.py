"""Models of Hugging Face transformers with random weights, and the same weights in ours.

Marian is post-norm with sinusoidal positions; BART is post-norm with learned positions that start at row 2 and a norm after
the embedding. Both tie their embeddings and add `final_logits_bias` to the logits.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import BartConfig, BartForConditionalGeneration, MarianConfig, MarianMTModel

from isthmus.core.padded import Padded
from isthmus.model.build import ModelConfig, build
from isthmus.model.encoder_decoder import EncoderDecoder

PAD, BOS, EOS = 0, 2, 3
SIZE = 41
START = PAD  # Marian and BART begin an output with a piece that is not BOS; Marian with padding

M = TypeVar("M", bound=nn.Module)

# Where a parameter of ours stands in theirs; `\\1` is the number of the layer.
NAMES = (
    (r"(en|de)coder\.embedding\.weight", r"model.\1coder.embed_tokens.weight"),
    (r"(en|de)coder\.embedding\.positions\.weight", r"model.\1coder.embed_positions.weight"),
    (r"(en|de)coder\.embedding\.norm\.", r"model.\1coder.layernorm_embedding."),
    (r"head\.weight", "lm_head.weight"),
    (r"\.attention\.output\.", ".self_attn.out_proj."),
    (r"\.attention\.(\w+)\.", r".self_attn.\1_proj."),
    (r"\.connection\.output\.", ".encoder_attn.out_proj."),
    (r"\.connection\.(\w+)\.", r".encoder_attn.\1_proj."),
    (r"query_proj", "q_proj"),
    (r"key_proj", "k_proj"),
    (r"value_proj", "v_proj"),
    (r"\.feed_forward\.inner\.", ".fc1."),
    (r"\.feed_forward\.outer\.", ".fc2."),
    (r"\.around_attention\.norm\.", ".self_attn_layer_norm."),
    (r"\.around_connection\.norm\.", ".encoder_attn_layer_norm."),
    (r"\.around_feed_forward\.norm\.", ".final_layer_norm."),
    (r"^(en|de)coder\.layers", r"model.\1coder.layers"),
)


def random_marian(seed: int = 0, **changes: Any) -> MarianMTModel:
    """A tiny Marian in which no weight is 0 or 1."""
    return _random(MarianMTModel(MarianConfig(**{**_sizes(), "scale_embedding": True, **changes})), seed)


def random_bart(seed: int = 0, **changes: Any) -> BartForConditionalGeneration:
    """A tiny BART in which no weight is 0 or 1."""
    return _random(
        BartForConditionalGeneration(BartConfig(**{**_sizes(), "activation_function": "gelu", **changes})), seed
    )


@lru_cache
def reversing(kind: str) -> Any:
    """A Marian or BART that has half learned to reverse: its outputs vary, end, and are unsure."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {**_sizes(), "init_std": 0.1}
        model: Any
        if kind == "marian":
            model = MarianMTModel(MarianConfig(**sizes, scale_embedding=True, activation_function="swish"))
        else:
            model = BartForConditionalGeneration(BartConfig(**sizes))
        optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
        for _ in range(150):
            source_BS = torch.randint(4, SIZE, (32, int(torch.randint(1, 12, ()))))
            target_BT = torch.nn.functional.pad(source_BS.flip(1), (0, 1), value=EOS)
            target_in_BT = torch.nn.functional.pad(target_BT[:, :-1], (1, 0), value=START)
            optimiser.zero_grad()
            model(input_ids=source_BS, decoder_input_ids=target_in_BT, labels=target_BT).loss.backward()
            optimiser.step()
        model.final_logits_bias.normal_(std=0.3)
    return model.eval()


def _sizes() -> dict[str, Any]:
    return {
        "vocab_size": SIZE,
        "decoder_vocab_size": SIZE,
        "d_model": 24,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 3,
        "encoder_ffn_dim": 29,
        "decoder_ffn_dim": 31,
        "max_position_embeddings": 61,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "decoder_start_token_id": START,
        "forced_eos_token_id": None,
        "dropout": 0.0,
        "use_cache": True,
    }


def _random(model: M, seed: int) -> M:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" in name and not parameter.requires_grad:
                continue  # Marian's waves are a formula
            size = 0.35 if parameter.dim() == 2 else 0.2
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=size)
        for name, buffer in model.named_buffers():
            if name == "final_logits_bias":
                buffer.copy_(torch.randn(buffer.shape, generator=generator))
    return model.eval()


def copied(model: MarianMTModel | BartForConditionalGeneration) -> EncoderDecoder:
    """The same model as ours."""
    theirs: Any = model.config
    bart = isinstance(model, BartForConditionalGeneration)
    layer = {
        "heads": theirs.encoder_attention_heads,
        "feed_forward": theirs.encoder_ffn_dim,
        "activation": {"gelu": "gelu", "relu": "relu", "swish": "silu"}[theirs.activation_function],
        "norm_first": False,
    }
    config = ModelConfig.of(
        {
            "d_model": theirs.d_model,
            "embedding": {
                "tied": "all",
                "scale": theirs.d_model**0.5 if theirs.scale_embedding else 1.0,
                "norm": bart,
                "positions": {
                    "kind": "learned" if bart else "sinusoidal",
                    "maximum": theirs.max_position_embeddings,
                    "offset": 2 if bart else 0,
                },
            },
            "encoder": {"layers": theirs.encoder_layers, "layer": layer},
            "connection": {"kind": "multi-head-attention", "heads": theirs.decoder_attention_heads},
            "decoder": {
                "layers": theirs.decoder_layers,
                "layer": {**layer, "heads": theirs.decoder_attention_heads, "feed_forward": theirs.decoder_ffn_dim},
            },
            "head": {"bias": True},
        }
    )
    ours = build(config, theirs.vocab_size, theirs.vocab_size)
    state: dict[str, Tensor] = model.state_dict()
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            parameter.copy_(state["final_logits_bias"][0] if name == "head.bias" else state[their_name(name)])
    return ours.eval()


def their_name(name: str) -> str:
    """The name that transformers gives a parameter of ours."""
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def inputs(rows: list[list[int]]) -> dict[str, Tensor]:
    """A batch as transformers wants it."""
    padded = Padded.of(rows)
    return {"input_ids": padded.ids_BT, "attention_mask": padded.mask_BT.long()}
