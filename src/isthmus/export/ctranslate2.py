"""Export to CTranslate2."""

from __future__ import annotations

from pathlib import Path

from isthmus.core.files import new_folder
from isthmus.core.runtime import Runtime
from isthmus.engines.ct2.folder import Quantization, load, require, save_into
from isthmus.engines.ct2.searcher import CTranslate2Searcher
from isthmus.engines.ct2.support import check
from isthmus.export.comparison import Comparison, Probe, compare, needs_text
from isthmus.export.shortlist import Shortlist
from isthmus.export.sides import Searching
from isthmus.export.source import Source
from isthmus.generate.delegate import Delegation


def export(
    source: Source, out: Path, quantization: Quantization, runtime: Runtime, shortlist: Shortlist | None = None
) -> Comparison:
    """Write a bundle for CTranslate2, if what CTranslate2 makes of it is equal enough.

    Args:
        source: the bundle.
        out: where; what was there is replaced at the end.
        quantization: of the weights.
        runtime: how to compute for the comparison.
        shortlist: the pieces that may come for each source; `None`: all.

    Raises:
        InputError: CTranslate2 is not installed or cannot run the architecture, or there is nothing to compare on.
        ExportError: the two differ.
    """
    require()
    check(source.bundle.config)
    exact = quantization == "float32" and shortlist is None
    needs_text(exact, source.examples)
    listed = "" if shortlist is None else shortlist.text()
    with new_folder(out) as folder:
        save_into(source.bundle, folder, quantization, source.card(f"CTranslate2, {quantization}"), listed)
        load(folder)
        codec = source.bundle.codec
        searcher = CTranslate2Searcher(folder, codec, quantization, runtime, bool(listed))
        side = Searching(Delegation(searcher), source.target, codec.first_ids)
        probe = Probe.of(source.examples, codec, source.task)
        found = compare(source.side(runtime), side, probe, codec)
        found.check(exact)
    return found
