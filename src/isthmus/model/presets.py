"""Models by name, as tables that a recipe can lay its own fields over."""

from __future__ import annotations

import difflib
from typing import Any

from isthmus.core.errors import ConfigError

# name: d_model, feed-forward, layers of encoder and decoder, heads
TRANSFORMERS: tuple[tuple[str, int, int, int, int], ...] = (
    ("tiny", 128, 256, 4, 4),
    ("small", 256, 1024, 3, 4),
    ("base", 512, 2048, 6, 8),
    ("big", 1024, 4096, 6, 16),
)
VARIANTS: tuple[str, ...] = ("vaswani2017", "vaswani2017-big", "deep-shallow", "transformer-xl")
RECURRENT: tuple[str, ...] = ("sutskever2014", "cho2014", "bahdanau2015", "luong2015")

POINTER_GENERATOR = "pointer-generator"


def preset_table(name: str) -> dict[str, Any]:
    """The fields of a preset, as plain values.

    Raises:
        ConfigError: there is no such preset; the error names the nearest.
    """
    for known, d_model, feed_forward, layers, heads in TRANSFORMERS:
        if known == name:
            return transformer_table(d_model, feed_forward, (layers, layers), heads, 0.1)
    if name in VARIANTS:
        return variant_table(name)
    if name in RECURRENT:
        return recurrent_table(name)
    if name == POINTER_GENERATOR:
        return pointer_generator_table()
    names = [*(preset[0] for preset in TRANSFORMERS), *VARIANTS, *RECURRENT, POINTER_GENERATOR]
    near = difflib.get_close_matches(name, names, n=1)
    raise ConfigError(
        "unknown preset",
        expected=f"one of {', '.join(names)}",
        got=name,
        where="model.preset",
        fix=f"did you mean `{near[0]}`?" if near else "name one of them, or give the fields",
    )


def transformer_table(
    d_model: int, feed_forward: int, layers: tuple[int, int], heads: int, dropout: float
) -> dict[str, Any]:
    """A pre-norm Transformer with tied embeddings, as plain values."""
    layer = {"heads": heads, "feed_forward": feed_forward, "dropout": dropout}
    return {
        "d_model": d_model,
        "embedding": {"dropout": dropout},
        "encoder": {"kind": "transformer", "layers": layers[0], "layer": layer},
        "connection": {"kind": "multi-head-attention", "heads": heads},
        "decoder": {"kind": "transformer", "layers": layers[1], "layer": layer},
        "head": {"kind": "softmax"},
    }


def variant_table(name: str) -> dict[str, Any]:
    """A Transformer as in a paper, as plain values; what is said of sizes for a processor holds here too.

    - `vaswani2017` and `vaswani2017-big`: post-norm, sinusoidal, all embeddings tied (Vaswani et al. 2017, table 3: dropout 0.1 and
      0.3).
    - `deep-shallow`: 12 layers that read all at once, one that writes step by step (Kasai et al. 2021); the paper's d_model is 512.
    - `transformer-xl`: encoder and decoder read segments of 128 positions, remember as many before each, and know positions by
      distance (Dai et al. 2019); the paper's model is a language model of 12 layers or more.

    Args:
        name: one of the four.
    """
    if name == "deep-shallow":
        return transformer_table(256, 1024, (12, 1), 4, 0.1)
    if name == "transformer-xl":
        table = transformer_table(256, 1024, (3, 3), 4, 0.1)
        table["embedding"]["positions"] = {"kind": "transformer-xl"}
        more: dict[str, Any] = {"segment": 128, "memory": 128}
    else:
        big = name == "vaswani2017-big"
        sizes = (1024, 4096, (6, 6), 16, 0.3) if big else (512, 2048, (6, 6), 8, 0.1)
        table, more = transformer_table(*sizes), {"norm_first": False}
    for part in ("encoder", "decoder"):
        table[part]["layer"] = {**table[part]["layer"], **more}
    return table


def recurrent_table(name: str, d_model: int = 256) -> dict[str, Any]:
    """A recurrent model as in its paper, as plain values; the sizes are for a processor, those of the papers stand below.

    - `sutskever2014`: LSTMs of 4 layers of 1000, the source reversed; nothing but the first state tells the decoder of it.
    - `cho2014`: GRUs of one layer of 1000; the last state of the encoder is the first of the decoder, and fed at every step.
    - `bahdanau2015`: GRUs of one layer of 1000, the encoder in both directions; additive attention from the state before.
    - `luong2015`: LSTMs of 4 layers of 1000, the source reversed; local attention with a predicted centre, similarity `general`,
      input feeding.

    Embeddings have the size of the states here (in Cho's and Bahdanau's papers 500 and 620), and source and target have tables of
    their own; the summary and the first state go through projections, so that any encoder fits.

    Args:
        name: one of the four.
        d_model: size of states and embeddings.
    """
    many = name in ("sutskever2014", "luong2015")
    cell = {"kind": "recurrent", "cell": "lstm" if many else "gru", "layers": 4 if many else 1, "dropout": 0.2}
    connection: dict[str, dict[str, Any]] = {
        "sutskever2014": {"kind": "no-connection"},
        "cho2014": {"kind": "fixed-vector"},
        "bahdanau2015": {"kind": "global-attention", "similarity": "additive"},
        "luong2015": {"kind": "local-attention", "similarity": "general", "window": 10},
    }
    order = "luong" if many else "bahdanau"
    return {
        "d_model": d_model,
        "embedding": {"tied": "none", "positions": {"kind": "none"}, "dropout": 0.2},
        "encoder": {**cell, "bidirectional": name == "bahdanau2015", "reverse": many},
        "connection": connection[name],
        "decoder": {**cell, "order": order, "input_feeding": name == "luong2015"},
        "head": {"kind": "softmax", "bias": True},
    }


def pointer_generator_table(d_model: int = 256) -> dict[str, Any]:
    """The pointer-generator of See et al. 2017, section 2.2, as plain values.

    LSTMs of one layer of 256, the encoder in both directions; additive attention from the new state, which is fed back; source and
    target share vocabulary and embedding (of 128 in the paper, of the size of the states here). Coverage (section 2.3) is
    `connection.read = { kind = "coverage" }`.

    Args:
        d_model: size of states and embeddings.
    """
    cell = {"kind": "recurrent", "cell": "lstm", "layers": 1, "dropout": 0.2}
    return {
        "d_model": d_model,
        "embedding": {"tied": "source-target", "positions": {"kind": "none"}, "dropout": 0.2},
        "encoder": {**cell, "bidirectional": True},
        "connection": {"kind": "copying", "read": {"kind": "global-attention", "similarity": "additive"}},
        "decoder": {**cell, "order": "luong", "input_feeding": True},
        "head": {"kind": "pointer-generator", "bias": True},
    }
