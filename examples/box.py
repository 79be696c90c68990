"""Make the model in the box from a training run: its licence and its card are added, and its weights are stored in eight bits.

    isthmus train recipes/tatoeba-en-fr.toml --out runs/tatoeba
    python examples/box.py runs/tatoeba $ISTHMUS_DATA/tatoeba-en-fr/dev.tsv.gz src/isthmus/box/en-fr

The export refuses to write a model that lost more than 0.3 BLEU on the pairs given. None of them is kept: the box holds weights,
and no texts of others.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from isthmus.generate.load import best_of
from isthmus.model.bundle import Bundle

LICENCE = "CC BY 2.0 FR"
CARD = """# English to French, everyday sentences

The model in the box of Isthmus: `isthmus generate en-fr "I love this beer."`

- Trained by `recipes/tatoeba-en-fr.toml` from scratch, on {pairs:,} sentence pairs of Tatoeba (https://tatoeba.org) and nothing else.
- The pairs are by the contributors of Tatoeba, under the licence CC BY 2.0 FR (https://creativecommons.org/licenses/by/2.0/fr/); so is
  whatever the weights remember of them.
- A Transformer of {parameters:,} parameters, stored in eight bits, for CTranslate2; without it PyTorch runs them.
- What it scores on sentences that it never saw, in eight bits, stands in `docs/results.md` of the project.

## What it cannot do

- Text that is not everyday conversation: news, law, manuals, poetry. Words it has not met come out wrong, and it will not say so.
- More than a sentence at a time: each is translated alone, so that *It is the best* does not know that a beer (feminine) was meant.
- Choose between *tu* and *vous*, or know who speaks: it takes what Tatoeba has most.
- Numbers, names and dates are copied as they come, and not always rightly. Check what matters.
- It repeats the biases of its sentences, which volunteers wrote, many about a certain Tom.
"""


def main() -> None:
    """Make it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of the training run")
    parser.add_argument("sample", type=Path, help="pairs to compare on, which are not kept")
    parser.add_argument("out", type=Path, help="the new folder in the box")
    arguments = parser.parse_args()
    bundle = Bundle.load(best_of(arguments.run))
    parameters = sum(parameter.numel() for parameter in bundle.model.parameters())
    card = CARD.format(pairs=bundle.info["training_pairs"], parameters=parameters)
    bundle = replace(bundle, info={**bundle.info, "licence": LICENCE}, sample=())
    with tempfile.TemporaryDirectory() as folder:
        bundle.save(Path(folder) / "bundle", card)
        export = ["export", f"{folder}/bundle", str(arguments.out), "--to", "ctranslate2", "--quantization", "int8"]
        export += ["--sample", str(arguments.sample)]
        sys.exit(subprocess.run([sys.executable, "-m", "isthmus", *export], check=False).returncode)


if __name__ == "__main__":
    main()
