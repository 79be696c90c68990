"""The weights of a model of ours under the names that transformers gives them, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from isthmus.core.errors import BundleError
from isthmus.export.huggingface.families import LEARNED_OFFSET
from isthmus.export.huggingface.names import their_name
from isthmus.model.build import ModelConfig
from isthmus.model.encoder_decoder import EncoderDecoder

_TABLES = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
_SHARED = "model.shared.weight"
_BIAS = "final_logits_bias"


def their_tensors(model: EncoderDecoder, config: ModelConfig) -> dict[str, Tensor]:
    """Every weight by the name in transformers; tied tables under each of their names.

    Args:
        model: the model.
        config: its configuration.
    """
    found: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        tensor = parameter.detach().float().cpu()
        theirs = their_name(name)
        if theirs.endswith("embed_positions.weight"):
            rows = LEARNED_OFFSET - config.embedding.positions.offset
            tensor = torch.cat([tensor.new_zeros(max(0, rows), tensor.shape[1]), tensor])[max(0, -rows) :]
        found[theirs] = tensor[None] if theirs == _BIAS else tensor
    found[_SHARED] = found[_TABLES[0]]
    return found


def put(model: EncoderDecoder, theirs: Mapping[str, Tensor], where: str) -> None:
    """Put the weights of transformers into a model of ours, in place.

    Args:
        model: fresh, of the same shape.
        theirs: by their names; of tied tables one is enough.
        where: their file, for errors.

    Raises:
        BundleError: a weight is missing or has another shape.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            wanted = their_name(name)
            parameter.copy_(_fitting(_found(theirs, wanted, parameter), parameter, wanted, where))


def _found(theirs: Mapping[str, Tensor], wanted: str, like: Tensor) -> Tensor | None:
    """A weight by its name; a table perhaps by that of one it is tied with, and a bias that is not stored is 0."""
    names = [wanted]
    if wanted in _TABLES:
        names += [_SHARED, *_TABLES]
    tensor = next((theirs[name] for name in names if name in theirs), None)
    if wanted == _BIAS:
        return torch.zeros_like(like) if tensor is None else tensor.reshape(-1)
    return tensor


def _fitting(tensor: Tensor | None, parameter: Tensor, name: str, where: str) -> Tensor:
    if tensor is None or tensor.shape != parameter.shape:
        raise BundleError(
            "a weight is not what config.json says",
            expected=f"{name} of shape {tuple(parameter.shape)}",
            got="none" if tensor is None else f"shape {tuple(tensor.shape)}",
            where=where,
            fix="copy the whole folder again",
        )
    return tensor
