"""Which weights of a trained model may change when it is trained further: some, or a low-rank change of some (LoRA)."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import nn
from torch.nn.utils import parametrize

from isthmus.core.config import Config
from isthmus.core.errors import ConfigError
from isthmus.model.bundle import weights
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.nn.low_rank import LowRank

_ORIGINAL, _CHANGE = ".parametrizations.weight.original", ".parametrizations.weight.0"


class LowRankConfig(Config):
    """Low-rank adaptation (Hu et al. 2022).

    Attributes:
        rank: of the changes.
        alpha: a change is multiplied by alpha / rank.
        on: patterns of the matrices that change; by default queries and values of every attention, as in the paper.
    """

    rank: PositiveInt = 8
    alpha: PositiveFloat = 16.0
    on: tuple[str, ...] = Field(default=("*.query", "*.value"), min_length=1)


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Let parameters stay as they are; a tied table is frozen by any of its names.

    Args:
        model: changed in place.
        patterns: of names of parameters, with `*` and `?`.

    Raises:
        ConfigError: a pattern is no parameter's name, or nothing would be left to train.
    """
    named = list(model.named_parameters(remove_duplicate=False))
    for pattern in patterns:
        found = [parameter for name, parameter in named if fnmatchcase(name, pattern)]
        if not found:
            raise _nothing("start.frozen", pattern, [name for name, _ in named])
        for parameter in found:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(
            "something must be left to train",
            expected="patterns that leave a parameter out",
            got=", ".join(patterns),
            where="start.frozen",
            fix="name less",
        )


def adapt(model: nn.Module, config: LowRankConfig) -> None:
    """Freeze all weights and add changes of low rank, drawn from torch's generator.

    Args:
        model: changed in place.
        config: which matrices, and how.

    Raises:
        ConfigError: a pattern is no matrix's name.
    """
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    chosen: dict[str, nn.Linear] = {}
    for pattern in config.on:
        found = {name: linear for name, linear in linears.items() if fnmatchcase(name, pattern)}
        if not found:
            raise _nothing("start.lora.on", pattern, list(linears))
        chosen |= found
    model.requires_grad_(False)
    for linear in chosen.values():
        change = LowRank(linear.out_features, linear.in_features, config.rank, config.alpha)
        parametrize.register_parametrization(linear, "weight", change)


def merged(model: EncoderDecoder, fresh: EncoderDecoder) -> EncoderDecoder:
    """The model with its changes put into its weights, so that nothing of them is left to see.

    Args:
        model: with changes or without; it stays as it is.
        fresh: one of the same shape without changes, which takes the weights.
    """
    found = weights(model)
    changes = {name: module for name, module in model.named_modules() if isinstance(module, LowRank)}
    with torch.no_grad():
        for name, parameter in fresh.named_parameters():
            whole = found.get(name)
            if whole is None:
                path = name.removesuffix(".weight")
                whole = changes[f"{path}{_CHANGE}"](found[f"{path}{_ORIGINAL}"])
            parameter.copy_(whole)
    return fresh.eval()


def changed(model: nn.Module) -> bool:
    """Whether a model has changes of low rank."""
    return any(isinstance(module, LowRank) for module in model.modules())


def _nothing(where: str, pattern: str, names: Sequence[str]) -> ConfigError:
    return ConfigError(
        "a pattern must be the name of something in the model",
        expected=f"for example {names[0]}, or {names[-1]}; `*` is any text",
        got=repr(pattern),
        where=where,
        fix="correct the pattern",
    )
