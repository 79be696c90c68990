"""From a folder on the disk to a translator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from isthmus.core.config import parse
from isthmus.core.errors import BundleError, InputError
from isthmus.core.runtime import Precision, Runtime, probe
from isthmus.engines.contrastive import Contrast
from isthmus.engines.engine import Engine
from isthmus.engines.ensemble import Ensemble, Mean, Scale
from isthmus.engines.forms import Described, described_by, open_bundle
from isthmus.generate.inputs import Task
from isthmus.generate.opening import Choice, Run, run_by, torch_engine
from isthmus.generate.options import GenerationOptions
from isthmus.generate.profile import Profile
from isthmus.generate.translator import Translator
from isthmus.model.box import boxed, located
from isthmus.model.bundle import Bundle


def load(
    path: str | Path | Sequence[str | Path],
    *,
    weights: Sequence[float] | None = None,
    mean: Scale = "probabilities",
    amateur: str | Path | None = None,
    device: str = "auto",
    precision: Precision | Literal["auto"] = "float32",
    threads: int | None = None,
    engine: Choice = "auto",
) -> Translator:
    """Load a bundle, or several as one, and get it ready to generate.

    Args:
        path: the folder of a bundle, in any form that `isthmus export` writes and `load` reads, or of a training run (then its
            best bundle), or the name of a model in the box; of several, which must share their vocabularies, an ensemble is
            made, and what is not of the weights is the first one's.
        weights: of the models of an ensemble; equal by default.
        mean: what an ensemble takes the mean of: `probabilities` or `log-probabilities`.
        amateur: a weaker model, whose preferences are taken away from those of the others (see `Contrast`).
        device: where to compute, as torch names it; `auto` takes a GPU if there is one.
        precision: of the matrix products; `auto` is the fastest on this machine.
        threads: processor threads; by default what torch uses.
        engine: what computes. `auto` is PyTorch for a bundle of ours; for a folder exported for CTranslate2 it is that, if it is
            installed, for each request that it does exactly, and PyTorch for the others.

    Raises:
        BundleError: there is no bundle, or it is damaged or of a newer format.
        InputError: several models do not fit together, or the weights do not fit them; or the engine is not installed or cannot
            run the model.

    Example:
        >>> isthmus.load("en-fr").generate(["I love this beer."], max_length=50)  # doctest: +SKIP
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    if not paths:
        raise InputError("a translator needs a model", expected="at least one path", got="none", fix="name a bundle")
    runtime = probe(precision, device, threads)
    if len(paths) == 1 and amateur is None:
        Mean.of(1, weights, mean)
        folder = best_of(paths[0])
        return _translator(described_by(folder), run_by(folder, engine, runtime))
    if engine not in ("auto", "torch"):
        raise InputError(
            "only PyTorch runs several models together",
            expected="the engine `torch` or `auto`",
            got=engine,
            where="engine",
            fix="leave it out, or load one model",
        )
    bundles = [open_bundle(best_of(one)) for one in paths]
    weak = None if amateur is None else open_bundle(best_of(amateur))
    return together(bundles, Mean.of(len(bundles), weights, mean), weak, runtime)


def best_of(path: str | Path) -> Path:
    """The best bundle of a training run, or the folder itself; a model in the box by its name.

    Args:
        path: the folder, or the name.

    Raises:
        BundleError: there is no such folder, and no such model in the box.
    """
    folder = located(path)
    if not folder.exists() and (names := boxed()):
        raise BundleError(
            "this is not a bundle",
            expected=f"a folder, or a model in the box: {', '.join(names)}",
            got="nothing there",
            where=str(path),
            fix="name the folder that `isthmus train --out` made, or a model in the box",
        )
    best = folder / "best"
    return best if best.is_dir() else folder


def translator(bundle: Bundle, runtime: Runtime | None = None) -> Translator:
    """A translator of a bundle that is in memory."""
    return _translator(Described.of(bundle), Run(torch_engine(bundle, runtime)))


def _translator(about: Described, run: Run) -> Translator:
    options = GenerationOptions.of({**run.search, **about.generation}, "generation.json")
    profile = parse(Profile, about.info.get("targets", {}), "config.json: targets")
    return Translator(run.engine, about.codec, options, _task(about), profile, run.delegation)


def together(
    bundles: Sequence[Bundle], mean: Mean, amateur: Bundle | None = None, runtime: Runtime | None = None
) -> Translator:
    """A translator of several bundles that are in memory; codec, options and languages are those of the first.

    Args:
        bundles: at least one.
        mean: of their predictions.
        amateur: a weaker model to contrast them with.
        runtime: where and how to compute.

    Raises:
        InputError: their vocabularies, or what is put around a source, differ.
    """
    everyone = [*bundles, *([] if amateur is None else [amateur])]
    first = translator(everyone[0], runtime)
    for other in everyone[1:]:
        _check_alike(bundles[0], other)
    engine: Engine = first.engine
    if len(bundles) > 1:
        engine = Ensemble([engine, *(torch_engine(bundle, runtime) for bundle in bundles[1:])], mean)
    if amateur is not None:
        engine = Ensemble([engine, torch_engine(amateur, runtime)], Contrast())
    limits = [limit for bundle in everyone if (limit := _task(Described.of(bundle)).positions) is not None]
    task = replace(first.task, positions=min(limits, default=None))
    return Translator(engine, first.codec, first.options, task, first.guards.profile)


def _check_alike(one: Bundle, other: Bundle) -> None:
    """Raise an InputError unless one reading of a source and one id of an output mean the same to both."""
    a, b = one.codec, other.codec
    for what, same in (
        ("target vocabulary", a.target.vocabulary == b.target.vocabulary),
        ("source vocabulary", a.source.vocabulary == b.source.vocabulary and type(a.source) is type(b.source)),
        ("language tag", a.config.language_tag == b.config.language_tag),
        ("context", a.config.context == b.config.context),
    ):
        if not same:
            raise InputError(
                f"models that run together share their {what}",
                expected=f"the {what} of the first model",
                got="another one",
                fix="train them from the same corpora and vocabulary settings; seeds and models may differ",
            )


def _task(about: Described) -> Task:
    info = about.info
    return Task(
        unit=str(info.get("unit", "")),
        source_language=str(info.get("source_language", "")),
        target_language=str(info.get("target_language", "")),
        positions=about.config.embedding.positions.limit,
        context=about.codec.config.context,
    )
