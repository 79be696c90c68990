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


def preset_table(name: str) -> dict[str, Any]:
    """The fields of a preset, as plain values.

    Raises:
        ConfigError: there is no such preset; the error names the nearest.
    """
    for known, d_model, feed_forward, layers, heads in TRANSFORMERS:
        if known == name:
            return transformer_table(d_model, feed_forward, (layers, layers), heads, 0.1)
    names = [preset[0] for preset in TRANSFORMERS]
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
