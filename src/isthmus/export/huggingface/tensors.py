"""The weights of a model of ours under the names that transformers gives them, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.core.errors import BundleError
from isthmus.export.huggingface.families import LEARNED_OFFSET
from isthmus.export.huggingface.names import their_name
from isthmus.model.build import ModelConfig
from isthmus.model.encoder_decoder import EncoderDecoder

_BIAS = "final_logits_bias"


@dataclass(frozen=True, slots=True)
class Naming:
    """How a kind of models names its weights.

    Attributes:
        of: the name of a parameter of ours.
        shared: the table of embeddings that others are tied with.
        tables: those others.
    """

    of: Callable[[str], str]
    shared: str
    tables: tuple[str, ...]


BART = Naming(
    their_name,
    "model.shared.weight",
    ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"),
)


def their_tensors(model: EncoderDecoder, config: ModelConfig, naming: Naming = BART) -> dict[str, Tensor]:
    """Every weight by the name in transformers; tied tables under each of their names.

    Args:
        model: the model.
        config: its configuration.
        naming: of the kind.
    """
    found: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        tensor = parameter.detach().float().cpu()
        theirs = naming.of(name)
        if theirs.endswith("embed_positions.weight"):
            rows = LEARNED_OFFSET - config.embedding.positions.offset
            tensor = torch.cat([tensor.new_zeros(max(0, rows), tensor.shape[1]), tensor])[max(0, -rows) :]
        found[theirs] = tensor[None] if theirs == _BIAS else tensor
    tied = {naming.of(name): naming.of(first) for name, first in _tied(model)}
    found |= {name: found[first] for name, first in tied.items() if name in naming.tables}
    found[naming.shared] = found[naming.tables[0]]
    return found


def _tied(model: EncoderDecoder) -> list[tuple[str, str]]:
    """Further names of parameters, each with the first name of the same one."""
    first = {id(parameter): name for name, parameter in model.named_parameters()}
    every = model.named_parameters(remove_duplicate=False)
    return [(name, first[id(parameter)]) for name, parameter in every if first[id(parameter)] != name]


def put(model: EncoderDecoder, theirs: Mapping[str, Tensor], where: str, naming: Naming = BART) -> None:
    """Put the weights of transformers into a model of ours, in place.

    Args:
        model: fresh, of the same shape.
        theirs: by their names; of tied tables one is enough.
        where: their file, for errors.
        naming: of the kind.

    Raises:
        BundleError: a weight is missing or has another shape.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            wanted = naming.of(name)
            parameter.copy_(fitting(_found(theirs, wanted, parameter, naming), parameter, wanted, where))


def _found(theirs: Mapping[str, Tensor], wanted: str, like: Tensor, naming: Naming) -> Tensor | None:
    """A weight by its name; a table perhaps by that of one it is tied with, and a bias that is not stored is 0."""
    names = [wanted, naming.shared, *naming.tables] if wanted in naming.tables else [wanted]
    tensor = next((theirs[name] for name in names if name in theirs), None)
    if wanted == _BIAS:
        return torch.zeros_like(like) if tensor is None else tensor.reshape(-1)
    return tensor


def fitting(tensor: Tensor | None, parameter: Tensor, name: str, where: str) -> Tensor:
    """The weight, if it is there and has the shape of the parameter.

    Args:
        tensor: what was found.
        parameter: what it is for.
        name: of the weight.
        where: its file, for errors.

    Raises:
        BundleError: there is none, or it has another shape.
    """
    if tensor is None or tensor.shape != parameter.shape:
        raise BundleError(
            "a weight is not what config.json says",
            expected=f"{name} of shape {tuple(parameter.shape)}",
            got="none" if tensor is None else f"shape {tuple(tensor.shape)}",
            where=where,
            fix="copy the whole folder again",
        )
    return tensor
