"""The lead baseline of summarisation: the first sentence of each document, scored like a model's output.

python benchmarks/lead.py TEST.tsv.gz [--language en] [--metrics rougeL,rouge1,rouge2]
"""

from __future__ import annotations

import argparse

from isthmus.data.pairs import Pairs, read
from isthmus.evaluate import evaluate
from isthmus.text.sentences import split
from isthmus.workflows.prepare import questions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs")
    parser.add_argument("--language", default="en")
    parser.add_argument("--metrics", default="rougeL,rouge1,rouge2")
    arguments = parser.parse_args()
    asked = questions(read(Pairs.parse(arguments.pairs)))
    leads = [
        next((sentence.text for sentence in split(example.source, arguments.language)), "")
        for example in asked.examples
    ]
    print("\n".join(evaluate(leads, asked.references, arguments.metrics.split(",")).table()))


if __name__ == "__main__":
    main()
