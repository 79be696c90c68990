"""What a corpus costs as it grows: encode N synthetic pairs, go through them once, and train on them, for growing N.

Each N runs in a process of its own, so that its peak of resident memory is its own. One JSON line an N on standard output:

    python -m benchmarks.data_memory            # N = 10^4 .. 10^6
    python -m benchmarks.data_memory 7          # N = 10^4 .. 10^7

Trained is the preset `tiny` with batches of 4,096 positions, one thread, for 30 seconds after 8 updates.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.training import steady

if TYPE_CHECKING:
    from isthmus.data.batches import Batches
    from isthmus.data.codec import Codec

SECONDS = 30
WORDS = ["".join(random.Random(number).choices("aeioubcdfglmnprst", k=2 + number % 8)) for number in range(5000)]


def write_pairs(path: Path, count: int) -> None:
    choose = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            source = " ".join(choose.choices(WORDS, k=choose.randint(3, 15)))
            target = " ".join(choose.choices(WORDS, k=choose.randint(3, 15)))
            file.write(f"{source} {number}\t{target}\n")


def measure(count: int) -> dict[str, float]:
    from isthmus.data.batches import BatchConfig, Batches
    from isthmus.data.cache import encode
    from isthmus.data.codec import Codec, CodecConfig
    from isthmus.data.corpora import Corpus
    from isthmus.data.filters import FilterConfig
    from isthmus.data.pairs import Pairs
    from isthmus.text.build import train_tokenizer
    from isthmus.text.tokenizer import SentencePieceConfig

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(folder / "pairs.tsv", count)
        tokenizer = train_tokenizer(SentencePieceConfig(vocabulary_size=2000), (" ".join(WORDS),))
        codec = Codec(tokenizer, tokenizer, CodecConfig())
        before = peak()
        begin = time.perf_counter()
        encoded = encode([Corpus(Pairs(folder / "pairs.tsv"))], codec, FilterConfig(), folder / "cache", keep_text=True)
        encoding, after_encoding = time.perf_counter() - begin, peak()
        begin = time.perf_counter()
        batches = Batches(encoded, codec, BatchConfig(), seed=1)
        shown = sum(len(batch.index_B) for batch in batches.epoch(0))
        iterating, after_epoch = time.perf_counter() - begin, peak()
        if shown != count:
            raise SystemExit(f"{shown} examples of {count} were seen")
        return {
            "pairs": count,
            "pieces": sum(encoded.pieces),
            "corpus_mb": (folder / "pairs.tsv").stat().st_size / 1e6,
            "encode_seconds": round(encoding, 2),
            "epoch_seconds": round(iterating, 2),
            "rss_before_mb": before,
            "peak_rss_encode_mb": after_encoding,
            "peak_rss_epoch_mb": after_epoch,
            "target_tokens_a_second": trained(batches, codec, folder),
            "peak_rss_mb": peak(),
        }


def trained(batches: Batches, codec: Codec, folder: Path) -> int:
    """Target tokens a second of training in the steady state."""
    import torch

    from isthmus.core.memory import keep_for_next_steps
    from isthmus.core.runtime import probe, seeded
    from isthmus.model.build import ModelConfig, build
    from isthmus.train.config import TrainingConfig
    from isthmus.train.job import Job, Place
    from isthmus.train.objective import CrossEntropy

    keep_for_next_steps()
    torch.set_num_threads(1)
    size = codec.target.vocabulary.size
    with seeded(1):
        model = build(ModelConfig.preset("tiny"), size, size)
    config = TrainingConfig(steps=1_000_000)
    job = Job(model, CrossEntropy(0.1), batches, (), config, probe(threads=1), Place(folder / "run"))
    return round(steady(job, SECONDS)[1])


def peak() -> float:
    """Peak resident memory of this process in megabytes (Linux counts in kibibytes, macOS in bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--one":
        print(json.dumps(measure(int(sys.argv[2]))), flush=True)
        return
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    for power in range(4, largest + 1):
        subprocess.run([sys.executable, "-m", "benchmarks.data_memory", "--one", str(10**power)], check=True)


if __name__ == "__main__":
    main()
