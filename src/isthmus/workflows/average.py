"""One model from several of one architecture: the mean of their weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch

from isthmus.core.errors import InputError
from isthmus.model.bundle import Bundle, weights
from isthmus.train.average import mean


def average(bundles: Sequence[Bundle]) -> Bundle:
    """The bundle whose weights are the mean of those of several; all else is the first one's.

    It helps where the weights lie close together, as those of one training at several steps do. Models that were trained
    apart make an ensemble instead (`isthmus.load` with several paths).

    Vaswani et al. 2017, Attention Is All You Need, section 6.1.

    Args:
        bundles: at least one; the same model configuration and codec. They stay as they are.

    Raises:
        InputError: there is none, or two are built differently.

    Example:
        >>> parts = [isthmus.Bundle.load(path) for path in paths]  # doctest: +SKIP
        >>> isthmus.average(parts).save(Path("mean"))  # doctest: +SKIP
    """
    own = mean([weights(bundle.model) for bundle in bundles if _alike(bundles[0], bundle)])
    if own is None:
        raise InputError("a mean of models needs one", expected="at least one bundle", got="none", fix="give several")
    model = copy.deepcopy(bundles[0].model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(own[name])
    return replace(bundles[0], model=model)


def _alike(one: Bundle, other: Bundle) -> bool:
    """True; an InputError if the weights of two bundles do not mean the same."""
    for what, same in (
        ("model configuration", one.config == other.config),
        ("codec", one is other or one.codec.fingerprint() == other.codec.fingerprint()),
    ):
        if not same:
            raise InputError(
                f"models that are averaged share their {what}",
                expected=f"the {what} of the first model",
                got="another one",
                fix="average checkpoints of one training; others can be an ensemble",
            )
    return True
