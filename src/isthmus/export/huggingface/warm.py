"""An encoder or a decoder that begins with the weights of BERT or GPT-2, its other half fresh (Rothe, Narayan and Severyn 2020).

What connects the two (attention over the memory) is always fresh: neither model had any. A pair of two BERTs is the paper's
BERT2BERT, a fresh encoder with GPT-2 its RND2GPT.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from isthmus.core.errors import InputError
from isthmus.core.runtime import seeded
from isthmus.export.huggingface.folder import described, read_config, read_weights
from isthmus.export.huggingface.tensors import fitting
from isthmus.export.huggingface.tokenizer_in import Asked, around, codec_of
from isthmus.model.build import ModelConfig, build
from isthmus.model.bundle import Bundle
from isthmus.model.encoder_decoder import EncoderDecoder

Half = Literal["encoder", "decoder", "both"]
SEED = 1

_BERT: tuple[tuple[str, str], ...] = (
    (r"^embedding\.weight$", "embeddings.word_embeddings.weight"),
    (r"^embedding\.positions\.weight$", "embeddings.position_embeddings.weight"),
    (r"^embedding\.norm\.", "embeddings.LayerNorm."),
    (r"^layers\.", "encoder.layer."),
    (r"\.attention\.(query|key|value)\.", r".attention.self.\1."),
    (r"(\d+)\.attention\.output\.", r"\1.attention.output.dense."),
    (r"\.around_attention\.norm\.", ".attention.output.LayerNorm."),
    (r"\.feed_forward\.inner\.", ".intermediate.dense."),
    (r"\.feed_forward\.outer\.", ".output.dense."),
    (r"\.around_feed_forward\.norm\.", ".output.LayerNorm."),
)
_GPT2: tuple[tuple[str, str], ...] = (
    (r"^embedding\.weight$", "wte.weight"),
    (r"^embedding\.positions\.weight$", "wpe.weight"),
    (r"^final_norm\.", "ln_f."),
    (r"^layers\.", "h."),
    (r"\.attention\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.output\.", ".attn.c_proj."),
    (r"\.around_attention\.norm\.", ".ln_1."),
    (r"\.around_feed_forward\.norm\.", ".ln_2."),
    (r"\.feed_forward\.inner\.", ".mlp.c_fc."),
    (r"\.feed_forward\.outer\.", ".mlp.c_proj."),
)


def read_half(folder: Path, half: Half) -> Bundle:
    """A bundle whose encoder, decoder or both begin with the weights of a folder; it has to be trained before it is of use.

    Args:
        folder: of a BERT, or for the decoder alone of a GPT-2.
        half: which half has the weights; the other one is of the same sizes.

    Raises:
        InputError: the folder is missing or holds neither, or GPT-2 is to be an encoder.
        BundleError: a weight is missing or has another shape.
    """
    values = read_config(folder)
    kind = str(values["model_type"])
    if kind not in ("bert", "gpt2") or (kind == "gpt2" and half != "decoder"):
        raise InputError(
            "half of a model is started from a BERT, or its decoder from a GPT-2",
            expected="model_type bert, or gpt2 with --start decoder",
            got=f"{kind} with --start {half}",
            where=str(folder / "config.json"),
            fix="take such a model; whole encoder-decoders are imported without --start",
        )
    before, after = around(folder)
    with described(folder):
        config = _bert_config(values) if kind == "bert" else _gpt2_config(values)
        if kind == "bert":
            ids = {"decoder_start_token_id": before[0], "eos_token_id": after[-1]}
        else:
            ids = {"decoder_start_token_id": values["bos_token_id"]}
            after = (int(values["eos_token_id"]),)
        size = int(values["vocab_size"])
    asked = Asked(folder, {**values, **ids}, {})
    codec = codec_of(asked, (size, size), config.embedding.positions.limit, (before, after))
    with seeded(SEED):
        model = build(config, size, size)
    given = _gpt2_weights(read_weights(folder)) if kind == "gpt2" else _bert_weights(read_weights(folder))
    _put(model, given, kind, half, str(folder))
    return Bundle(model.eval(), config, codec, {}, {"imported": f"{kind} as {half}"})


def _config(sizes: Mapping[str, Any], layer: Mapping[str, Any], layers: int, norm: bool) -> ModelConfig:
    stack = {"kind": "transformer", "layers": layers, "layer": layer}
    return ModelConfig.of(
        {
            "d_model": sizes["d_model"],
            "embedding": {
                "tied": "all",
                "scale": 1.0,
                "norm": norm,
                "positions": {"kind": "learned", "maximum": sizes["positions"]},
                "dropout": layer["dropout"],
            },
            "encoder": stack,
            "connection": {
                "kind": "multi-head-attention",
                "heads": layer["heads"],
                "dropout": layer["attention_dropout"],
            },
            "decoder": stack,
        },
        "config.json",
    )


def _bert_config(values: Mapping[str, Any]) -> ModelConfig:
    layer = {
        "heads": values["num_attention_heads"],
        "feed_forward": values["intermediate_size"],
        "activation": _activation(values.get("hidden_act", "gelu")),
        "norm_first": False,
        "norm_eps": values.get("layer_norm_eps", 1e-12),
        "dropout": values.get("hidden_dropout_prob", 0.1),
        "attention_dropout": values.get("attention_probs_dropout_prob", 0.1),
    }
    sizes = {"d_model": values["hidden_size"], "positions": values["max_position_embeddings"]}
    return _config(sizes, layer, int(values["num_hidden_layers"]), norm=True)


def _gpt2_config(values: Mapping[str, Any]) -> ModelConfig:
    inner = values.get("n_inner")
    layer = {
        "heads": values["n_head"],
        "feed_forward": 4 * int(values["n_embd"]) if inner is None else inner,
        "activation": _activation(values.get("activation_function", "gelu_new")),
        "norm_eps": values.get("layer_norm_epsilon", 1e-5),
        "dropout": values.get("resid_pdrop", 0.1),
        "attention_dropout": values.get("attn_pdrop", 0.1),
    }
    sizes = {"d_model": values["n_embd"], "positions": values["n_positions"]}
    return _config(sizes, layer, int(values["n_layer"]), norm=False)


def _activation(name: str) -> str:
    known = {"gelu": "gelu", "gelu_new": "gelu-tanh", "relu": "relu", "silu": "silu"}
    if name not in known:
        raise InputError(
            "the activation has no counterpart here",
            expected=", ".join(known),
            got=repr(name),
            where="config.json",
            fix="take another model",
        )
    return known[name]


def _bert_weights(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix of a model with a head; all text is of the first type, whose vector is added to the positions."""
    found = {name.removeprefix("bert."): tensor for name, tensor in given.items()}
    positions, types = "embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"
    if positions in found and types in found:
        found[positions] = found[positions] + found[types][0]
    return found


def _gpt2_weights(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix, matrices the other way round, and queries, keys and values apart."""
    found: dict[str, Tensor] = {}
    for full, tensor in given.items():
        name = full.removeprefix("transformer.")
        turned = tensor.t() if re.search(r"\.c_(attn|proj|fc)\.weight$", name) else tensor
        if ".attn.c_attn." in name:
            for part, piece in zip(("query", "key", "value"), turned.chunk(3), strict=True):
                found[name.replace(".c_attn.", f".{part}.")] = piece
        else:
            found[name] = turned
    return found


def _put(model: EncoderDecoder, given: Mapping[str, Tensor], kind: str, half: Half, where: str) -> None:
    """Put the weights into the half, or the halves, in place."""
    for side in ("encoder", "decoder"):
        if half not in (side, "both"):
            continue
        for name, parameter in model.get_submodule(side).named_parameters():
            if "connection" in name:
                continue
            theirs = _their_name(name, _BERT if kind == "bert" else _GPT2)
            with torch.no_grad():
                parameter.copy_(fitting(given.get(theirs), parameter, theirs, where))


def _their_name(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
