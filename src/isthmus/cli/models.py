"""A model and what its outputs were made with, for the commands that score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from isthmus.cli import options

if TYPE_CHECKING:
    from isthmus.generate.translator import Translator


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that is ready to generate.

    Attributes:
        machine: what generates.
        weights: the hash of its weights; of several, their hashes, with `+`, or `-` before an amateur; then `|`, the weight and the
            hash of a channel.
    """

    machine: Translator
    weights: str


@dataclass(frozen=True, slots=True)
class Others:
    """The models that run together with one.

    Attributes:
        ensemble: those whose probabilities count too.
        weights: how much the model and each of these count; alike by default.
        amateur: a weaker one, whose preferences are taken away.
        channel: one of the other direction, by which outputs are ranked again.
        channel_weight: how much it counts.
    """

    ensemble: tuple[Path, ...] = ()
    weights: tuple[float, ...] | None = None
    amateur: Path | None = None
    channel: Path | None = None
    channel_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class Machine:
    """What computes.

    Attributes:
        device: where.
        precision: of the matrix products.
        threads: processor threads.
        engine: what runs the model.
    """

    device: str = "auto"
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    threads: int | None = None
    engine: Literal["auto", "torch", "ctranslate2", "onnx"] = "auto"


def others(
    ensemble: Sequence[Path] | None,
    weights: str | None,
    amateur: Path | None,
    channel: Path | None,
    channel_weight: float,
) -> Others:
    """The models that run together with one, as the command line names them.

    Raises:
        InputError: the weights are no numbers.
    """
    share = options.numbers(weights, "--weights")
    return Others(tuple(ensemble or ()), None if share is None else tuple(share), amateur, channel, channel_weight)


def opened(path: Path, by: Machine, others: Others | None = None) -> Opened:
    """Open a bundle, or the best bundle of a training run, or a model in the box.

    Args:
        path: its folder, or its name.
        by: what computes.
        others: the models that run together with it; the hash then names all of them.

    Raises:
        BundleError: there is none, or it is damaged or of a newer format.
        InputError: the device cannot be used, or models do not fit together.
    """
    from isthmus.engines.forms import named_by
    from isthmus.generate.load import best_of

    others = others or Others()
    machine = loaded(path, by, others)
    named = "+".join(named_by(best_of(one)) for one in (path, *others.ensemble))
    if others.amateur is not None:
        named += f"-{named_by(best_of(others.amateur))}"
    if others.channel is not None:
        named += f"|{others.channel_weight:g}*{named_by(best_of(others.channel))}"
    return Opened(machine, named)


def loaded(path: Path, by: Machine, others: Others) -> Translator:
    """A model and those that run together with it, ready to generate.

    Args:
        path: its folder, or its name.
        by: what computes.
        others: the models that run together with it.

    Raises:
        BundleError: there is none, or it is damaged or of a newer format.
        InputError: the device cannot be used, or models do not fit together.
    """
    from isthmus.generate.load import load
    from isthmus.generate.rescore import NoisyChannel, with_channel

    load_one = partial(load, device=by.device, precision=by.precision, threads=by.threads, engine=by.engine)
    machine = load_one([path, *others.ensemble], weights=others.weights, amateur=others.amateur)
    if others.channel is None:
        return machine
    return with_channel(machine, NoisyChannel(load_one(others.channel), channel_weight=others.channel_weight))
