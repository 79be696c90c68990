"""How fast generation is: sentences a second and the latency of one sentence, beside Hugging Face `generate` with the same weights.

    python benchmarks/generation.py                           # small and base, greedy and beam 5, batches of 1 and 64
    python benchmarks/generation.py --sizes small --repeats 5 --threads 1 --no-ctranslate2

A Marian model with random weights is made with transformers and copied into Isthmus, so that both compute the same function. Every sentence
gets exactly 16 pieces (no end before, none after), so that the work is equal; sources have 8 to 24 pieces. The systems take turns in one
process, `repeats` times round; given are medians, and medians of the ratios within a round. Outputs are compared with those of Isthmus in
float32. CTranslate2 runs with each division of the threads among workers (workers x threads of each).
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sacrebleu import corpus_bleu

sys.path.insert(0, str(Path(__file__).parent.parent))

from isthmus.core.runtime import Runtime
from isthmus.engines.torch_engine import TorchEngine
from isthmus.generate.jobs import Job, Target, search_jobs
from isthmus.generate.options import GenerationOptions
from tests.reference.marian import copied, inputs

SIZES = {"small": (256, 1024, 3, 4), "base": (512, 2048, 6, 8)}
BOS, EOS, VOCABULARY, LENGTH = 2, 3, 8000, 16
PAD = VOCABULARY - 1  # where converters of Marian models expect it
PRECISIONS = ("float32", "bfloat16")
Rows = list[list[int]]
Generate = Callable[[Rows], Rows]


def marian(size: str) -> Any:
    """A Marian of transformers with random weights."""
    from transformers import MarianConfig, MarianMTModel

    width, inner, layers, heads = SIZES[size]
    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=VOCABULARY,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=inner,
        decoder_ffn_dim=inner,
        max_position_embeddings=256,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        decoder_start_token_id=PAD,
        forced_eos_token_id=None,
        activation_function="relu",
        scale_embedding=True,
        init_std=0.06,
    )
    return MarianMTModel(config).eval()


def theirs(model: Any, beams: int) -> Generate:
    """Hugging Face's `generate`."""

    @torch.inference_mode()
    def generate(rows: Rows) -> Rows:
        found = model.generate(
            **inputs(rows), num_beams=beams, do_sample=False, min_new_tokens=LENGTH, max_new_tokens=LENGTH
        )
        return [row[1 : LENGTH + 1] for row in found.tolist()]

    return generate


def ours(model: Any, beams: int, precision: str, threads: int) -> Generate:
    """Isthmus with the same weights."""
    runtime = Runtime("cpu", "bfloat16" if precision == "bfloat16" else "float32", "highest", threads)
    engine = TorchEngine(copied(model), (PAD,), runtime)
    options = GenerationOptions.of(
        {"num_beams": beams, "min_length": LENGTH, "max_length": LENGTH, "batch": 64, "early_stopping": False}
    )

    def generate(rows: Rows) -> Rows:
        found = search_jobs(engine, [Job(tuple(row)) for row in rows], Target(EOS, (PAD,)), options)
        return [list(one.hypotheses[0].ids) for one in found]

    return generate


def ctranslate2(model: Any, beams: int, kind: str, workers: tuple[int, int]) -> Generate:
    """CTranslate2 with the same weights, as its users run it: so many workers of so many threads, among which a batch is divided."""
    import ctranslate2 as peer
    from ctranslate2.converters.transformers import _MODEL_LOADERS

    pieces = ["p0", "<unk>", "<s>", "</s>", *(f"p{number}" for number in range(4, VOCABULARY - 1)), "<pad>"]
    ids = {piece: number for number, piece in enumerate(pieces)}
    inter, intra = workers

    class Tokens:
        pad_token, unk_token, eos_token, bos_token = "<pad>", "<unk>", "</s>", "<s>"

        def get_vocab(self) -> dict[str, int]:
            return ids

        def __getattr__(self, name: str) -> None:
            return None

    with tempfile.TemporaryDirectory() as folder:
        spec = _MODEL_LOADERS["MarianConfig"](model, Tokens())
        spec.validate()
        spec.optimize(quantization=None)
        spec.save(folder)
        machine = peer.Translator(folder, compute_type=kind, inter_threads=inter, intra_threads=intra)

    def generate(rows: Rows) -> Rows:
        found = machine.translate_batch(
            [[pieces[id] for id in row] for row in rows],
            beam_size=beams,
            min_decoding_length=LENGTH,
            max_decoding_length=LENGTH,
            max_batch_size=max(1, -(-len(rows) // inter)),
        )
        return [[ids[piece] for piece in one.hypotheses[0]] for one in found]

    return generate


def seconds(generate: Generate, groups: list[Rows]) -> float:
    """How long all groups take."""
    begin = time.perf_counter()
    for rows in groups:
        generate(rows)
    return time.perf_counter() - begin


def compare(systems: dict[str, Generate], batch: int, rows: Rows, repeats: int) -> None:
    """Take turns, and print medians, and medians of the ratios within a round."""
    rows = rows[:: len(rows) // 16][:16] if batch == 1 else rows[: 2 * batch]
    groups = [rows[first : first + batch] for first in range(0, len(rows), batch)]
    spent: dict[str, list[float]] = {name: [] for name in systems}
    for generate in systems.values():
        seconds(generate, groups[:2])
    for _ in range(repeats):
        for name, generate in systems.items():
            spent[name].append(seconds(generate, groups))
    sys.stdout.write(
        f"  batch of {batch:3}             sentences/s   ms a batch   speed / Hugging Face float32, same precision\n"
    )
    for name, runs in spent.items():
        kind = name.split()[-1] if name.split()[-1] in PRECISIONS else "float32"
        faster = [
            statistics.median(one / mine for one, mine in zip(spent[f"Hugging Face {peer}"], runs, strict=True))
            for peer in ("float32", kind)
        ]
        middle = statistics.median(runs)
        sys.stdout.write(
            f"  {name:24} {len(rows) / middle:10.1f} {1000 * middle / len(groups):12.1f} {faster[0]:10.2f} {faster[1]:10.2f}\n"
        )
    sys.stdout.flush()


def agreement(systems: dict[str, Generate], rows: Rows) -> None:
    """How many outputs are those of Isthmus in float32, and the BLEU of all against these."""
    texts = {name: [" ".join(map(str, row)) for row in generate(rows)] for name, generate in systems.items()}
    reference = texts["Isthmus float32"]
    for name, found in texts.items():
        equal = sum(one == two for one, two in zip(found, reference, strict=True))
        bleu = corpus_bleu(found, [reference], tokenize="none", force=True).score
        sys.stdout.write(f"  {name:24} {equal} of {len(rows)} outputs equal Isthmus float32, BLEU {bleu:.1f}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=sorted(SIZES), default=["small", "base"])
    parser.add_argument("--beams", nargs="+", type=int, default=[1, 5])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-ctranslate2", action="store_true", help="leave CTranslate2 out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    choose = random.Random(0)
    rows = [[*choose.choices(range(4, VOCABULARY - 1), k=choose.randint(8, 24)), EOS] for _ in range(256)]
    rows.sort(key=len, reverse=True)
    workers = [
        (inter, arguments.threads // inter)
        for inter in range(1, arguments.threads + 1)
        if arguments.threads % inter == 0
    ]
    for size in arguments.sizes:
        model, low = marian(size), marian(size).bfloat16()
        for beams in arguments.beams:
            systems = {
                "Isthmus float32": ours(model, beams, "float32", arguments.threads),
                "Hugging Face float32": theirs(model, beams),
                "Isthmus bfloat16": ours(model, beams, "bfloat16", arguments.threads),
                "Hugging Face bfloat16": theirs(low, beams),
            }
            for kind in () if arguments.no_ctranslate2 else ("float32", "int8"):
                for pair in workers:
                    systems[f"CTranslate2 {kind} {pair[0]}x{pair[1]}"] = ctranslate2(model, beams, kind, pair)
            sys.stdout.write(f"\n{size}, beam {beams}, {arguments.threads} threads\n")
            agreement(systems, rows[:64])
            for batch in arguments.batches:
                compare(systems, batch, rows, arguments.repeats)


if __name__ == "__main__":
    main()
