"""Export to ONNX: one graph that reads a source, and one that reads one more token of a target."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from isthmus.core.errors import ExportError, InputError
from isthmus.core.files import new_folder
from isthmus.core.runtime import Runtime
from isthmus.engines.onnx.engine import OnnxEngine
from isthmus.engines.onnx.folder import ENCODE, STEP
from isthmus.engines.onnx.graphs import Begin, Step, example
from isthmus.engines.onnx.recurrence import exportable, translations
from isthmus.export.comparison import Comparison, Probe, compare
from isthmus.export.sides import Stepping
from isthmus.export.source import Source
from isthmus.generate.alignment_head import looks_of
from isthmus.model.bundle import Bundle

ROWS, WIDTH, SLOTS, MOST = 3, 7, 13, 1 << 20


def export(source: Source, out: Path, runtime: Runtime) -> Comparison:
    """Write a bundle as graphs, if onnxruntime computes the same with them.

    Args:
        source: the bundle.
        out: a free place.
        runtime: how to compute for the comparison.

    Raises:
        ExportError: the two differ.
        InputError: a connection writes more with every token.
    """
    with new_folder(out) as folder:
        written = write(source.bundle, folder, source.card("ONNX"))
        codec = source.bundle.codec
        engine = OnnxEngine(folder, (codec.config.frame.start,), written, runtime)
        side = Stepping(engine, source.target, source.options, codec.target.vocabulary.size)
        found = compare(source.side(runtime), side, Probe.of(source.examples, codec, source.task), codec)
        found.check(exact=True)
    return found


def write(bundle: Bundle, folder: Path, card: str = "") -> tuple[int, ...]:
    """Write the graphs, and what belongs to them, into an empty folder.

    Args:
        bundle: what to write.
        folder: where.
        card: the model card, as Markdown.

    Returns:
        for each link, how many tensors decoding writes into it.

    Raises:
        InputError: a connection writes more with every token.
    """
    past, links, layout = example(bundle.model, ROWS, WIDTH, SLOTS)
    if any(not each.numel() for each in links):
        raise InputError(
            "a graph of one step holds what is rewritten, not what grows with every token",
            expected="a connection that leaves its link as large as it is",
            got="one that writes each token behind the others",
            where="model.connection",
            fix="take multi-head attention instead of joint attention, or generate with the bundle itself",
        )
    _, wider, _ = example(bundle.model, ROWS, WIDTH + 1, SLOTS)
    rows, width, slots = Dim("rows", max=MOST), Dim("width", max=MOST), Dim("slots", max=MOST)
    ids, lengths = torch.full((ROWS, WIDTH), 4), torch.tensor([WIDTH, 2, 5])
    begin: dict[str, Any] = {"ids_BS": {0: rows, 1: width}, "lengths_B": {0: rows}}
    _graph(Begin(exportable(bundle.model)), (ids, lengths), begin, ("ids", "lengths"), folder / ENCODE)
    step: dict[str, Any] = {
        "token_B1": {0: rows},
        "position_B": {0: rows},
        "past": [{0: rows, 2: slots} if each.dim() == 4 else {0: rows} for each in past],
        "links": [{0: rows} | dict.fromkeys(_differing(*each), width) for each in zip(links, wider, strict=True)],
    }
    names = ["token", "position", *(f"past_{n}" for n in range(len(past))), *(f"link_{n}" for n in range(len(links)))]
    inputs = (torch.full((ROWS, 1), 2), torch.zeros(ROWS, dtype=torch.int64), past, links)
    _graph(Step(bundle.model, layout, looks_of(bundle)), inputs, step, names, folder / STEP)
    bundle.describe(folder, {"onnx": asdict(layout)}, card)
    return layout.links


def _differing(one: Tensor, other: Tensor) -> list[int]:
    """The axes in which two tensors differ: those that have a source position each."""
    return [axis for axis, sizes in enumerate(zip(one.shape, other.shape, strict=True)) if len({*sizes}) > 1]


def _graph(
    module: nn.Module, inputs: tuple[Any, ...], shapes: dict[str, Any], names: Sequence[str], path: Path
) -> None:
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            inputs,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(names),
            custom_translation_table=dict(translations()),
            verbose=False,
        )
        if program is None:
            raise ExportError("the exporter gave no graph", got=type(module).__name__, where=str(path))
        program.save(str(path), external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says about packages that it would know too."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
