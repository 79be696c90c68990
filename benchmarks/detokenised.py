"""Detokenised sacreBLEU of a model of tokens: its outputs joined by Moses' rules, against the raw references, lower-cased.

    pip install sacremoses
    python benchmarks/detokenised.py RUN/test.output.txt RAW.de.gz [--language de]

A model of lower-cased Moses tokens is scored on those tokens by its recipe; this is the figure that others can compare with.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sacrebleu.metrics import BLEU, CHRF
from sacremoses import MosesDetokenizer

from isthmus.core.files import open_bytes


def lines(path: Path) -> list[str]:
    with open_bytes(path) as file:
        return file.read().decode().splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", type=Path)
    parser.add_argument("references", type=Path)
    parser.add_argument("--language", default="de")
    arguments = parser.parse_args()
    joiner = MosesDetokenizer(lang=arguments.language)
    outputs = [joiner.detokenize(line.split()) for line in lines(arguments.outputs)]
    references = lines(arguments.references)
    if len(outputs) != len(references):
        parser.error(f"{len(outputs)} outputs, {len(references)} references: they must answer each other line by line")
    for metric in (BLEU(lowercase=True), CHRF(lowercase=True)):
        print(metric.corpus_score(outputs, [references]), metric.get_signature())


if __name__ == "__main__":
    main()
