"""Where a parameter of ours stands in the models of BART's kind: Marian, BART, mBART, M2M100, Pegasus."""

from __future__ import annotations

import re

_RULES: tuple[tuple[str, str], ...] = (
    (r"^(en|de)coder\.embedding\.weight$", r"model.\1coder.embed_tokens.weight"),
    (r"^(en|de)coder\.embedding\.positions\.weight$", r"model.\1coder.embed_positions.weight"),
    (r"^(en|de)coder\.embedding\.norm\.", r"model.\1coder.layernorm_embedding."),
    (r"^(en|de)coder\.final_norm\.", r"model.\1coder.layer_norm."),
    (r"^(en|de)coder\.layers", r"model.\1coder.layers"),
    (r"^head\.weight$", "lm_head.weight"),
    (r"^head\.bias$", "final_logits_bias"),
    (r"\.attention\.output\.", ".self_attn.out_proj."),
    (r"\.attention\.(q|k|v)(?:uery|ey|alue)\.", r".self_attn.\1_proj."),
    (r"\.connection\.output\.", ".encoder_attn.out_proj."),
    (r"\.connection\.(q|k|v)(?:uery|ey|alue)\.", r".encoder_attn.\1_proj."),
    (r"\.feed_forward\.inner\.", ".fc1."),
    (r"\.feed_forward\.outer\.", ".fc2."),
    (r"\.around_attention\.norm\.", ".self_attn_layer_norm."),
    (r"\.around_connection\.norm\.", ".encoder_attn_layer_norm."),
    (r"\.around_feed_forward\.norm\.", ".final_layer_norm."),
)


def their_name(name: str) -> str:
    """The name that transformers gives a parameter of ours."""
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name
