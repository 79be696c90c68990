"""The model card: what a bundle is, where it comes from, and what it scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.model.bundle import SAMPLE
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.workflows.recipe import Recipe


def _sample(kept: int) -> list[str]:
    """A word on the pairs of others that lie in the bundle."""
    if kept == 0:
        return []
    said = (
        f"`{SAMPLE}` holds up to {kept} pairs of the development set, under the licence of that set; "
        "`validation.kept = 0` leaves them out."
    )
    return ["## Sample", "", said, ""]


def card(recipe: Recipe, model: EncoderDecoder, scores: Mapping[str, float], info: Mapping[str, Any]) -> str:
    """Markdown for the bundle's `README.md`."""
    numbers = sum(parameter.numel() for parameter in model.parameters())
    languages = " → ".join(part for part in (recipe.data.source_language, recipe.data.target_language) if part)
    files = recipe.data.shards or ", ".join(files.source for files in recipe.data.train)
    lines = [
        f"# An Isthmus model{f': {languages}' if languages else ''}",
        "",
        recipe.about.strip() or "Trained from the pairs named below.",
        "",
        f"- Architecture: {recipe.model.encoder.kind} encoder ({recipe.model.encoder.layers} layers), "
        f"{recipe.model.connection.kind} connection, {recipe.model.decoder.kind} decoder ({recipe.model.decoder.layers} layers), "
        f"size {recipe.model.d_model}, {numbers:,} parameters",
        f"- Training data: {files}; {info.get('training_pairs', 0):,} pairs",
        f"- Scores on the development set at step {info.get('step', 0)}: "
        + (", ".join(f"{name} {value:.4g}" for name, value in scores.items()) or "none"),
        "",
        "## Use",
        "",
        "```python",
        "import isthmus",
        "",
        'isthmus.load("this folder").generate(["..."])',
        "```",
        "",
        *_sample(recipe.validation.kept),
        "## Limits",
        "",
        "The model knows nothing but its training pairs: expect poor output on text that is unlike them, and check it where it matters.",
        "",
    ]
    return "\n".join(lines)
