"""How fast one model is in every form: sentences and pieces a second, latency of one sentence, memory, size, quality.

    python benchmarks/inference.py MODEL --input test.en --references test.fr --threads 2

Isthmus in PyTorch, CTranslate2 (float32, int8) and ONNX, beside plain CTranslate2 (`translate_batch` on pieces, batches of 32, every
division of the threads into inter x intra) and plain Hugging Face (`generate` on what `isthmus export` wrote), all with the same
weights, text and beam. Each system has a process of its own, so that its memory is its own; they run one after the other, `--repeats`
times round, and the medians are shown. What cannot hold a model says why.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isthmus.core.errors import IsthmusError
from isthmus.text.metrics import metric

BATCH, SINGLE = 32, 50
FORMS = ("float32", "int8", "onnx", "huggingface")
Translate = Callable[[list[str]], list[str]]


def ours(folder: Path, beams: int, threads: int, engine: str) -> Translate:
    """Isthmus, by whichever engine."""
    import torch

    import isthmus

    torch.set_num_threads(threads)
    machine = isthmus.load(folder, engine=engine, threads=threads)  # type: ignore[arg-type]

    def translate(texts: list[str]) -> list[str]:
        return machine.generate(texts, num_beams=beams, early_stopping=True, guards=False, split_sentences=False)

    return translate


def plain_ctranslate2(folder: Path, beams: int, inter: int, intra: int, kind: str) -> Translate:
    """CTranslate2 as its users run it: pieces in, pieces out, its own batching."""
    import ctranslate2

    from isthmus.data.codec import Codec
    from isthmus.data.example import Example

    codec = Codec.load(folder)
    source, target = codec.source.vocabulary, codec.target.vocabulary
    machine = ctranslate2.Translator(str(folder), compute_type=kind, inter_threads=inter, intra_threads=intra)

    def translate(texts: list[str]) -> list[str]:
        rows = [[source.piece(id) for id in codec.source_ids(Example((text,), ""))] for text in texts]
        found = machine.translate_batch(rows, beam_size=beams, max_batch_size=BATCH)
        return [codec.text([target.id(piece) for piece in one.hypotheses[0]]) for one in found]

    return translate


def plain_huggingface(folder: Path, beams: int, threads: int) -> Translate:
    """Hugging Face's `generate`, in batches in the order of the text."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder).eval()

    @torch.inference_mode()
    def translate(texts: list[str]) -> list[str]:
        found: list[str] = []
        for start in range(0, len(texts), BATCH):
            rows = tokenizer(texts[start : start + BATCH], return_tensors="pt", padding=True)
            ids = model.generate(**rows, num_beams=beams, do_sample=False, early_stopping=True, max_new_tokens=128)
            found += tokenizer.batch_decode(ids, skip_special_tokens=True)
        return found

    return translate


def opened(system: str, folder: Path, beams: int, threads: int) -> Translate:
    """A system by its name."""
    kind, _, rest = system.partition(" ")
    if kind == "isthmus":
        return ours(folder, beams, threads, rest.split(" ")[0])
    if kind == "ctranslate2":
        precision, shape = rest.split(" ")
        inter, intra = map(int, shape.split("x"))
        return plain_ctranslate2(folder, beams, inter, intra, precision)
    return plain_huggingface(folder, beams, threads)


def measured(system: str, folder: Path, texts: list[str], beams: int, threads: int) -> dict[str, Any]:
    """One system in this process."""
    translate = opened(system, folder, beams, threads)
    translate(texts[:2])
    singles = []
    for text in texts[:SINGLE]:
        began = time.perf_counter()
        translate([text])
        singles.append(time.perf_counter() - began)
    began = time.perf_counter()
    outputs = translate(texts)
    spent = time.perf_counter() - began
    return {
        "seconds": spent,
        "median": statistics.median(singles),
        "p99": sorted(singles)[min(len(singles) - 1, int(0.99 * len(singles)))],
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "outputs": outputs,
    }


def forms(model: Path, place: Path, chosen: Sequence[str]) -> dict[str, Path]:
    """The model in every chosen form that can hold it."""
    from isthmus.core.runtime import Runtime
    from isthmus.engines.ct2.folder import save_into
    from isthmus.export import onnx
    from isthmus.export.huggingface.write import export as to_huggingface
    from isthmus.export.samples import drawn_texts
    from isthmus.export.source import Source

    source = Source.of(model)
    found = {"torch": model}

    def ct2(kind: Any) -> Path:
        folder = place / f"ct2-{kind}"
        folder.mkdir()
        save_into(source.bundle, folder, kind)
        return folder

    def graphs() -> Path:
        onnx.export(source, place / "onnx", Runtime(threads=1))
        return place / "onnx"

    def huggingface() -> Path:
        to_huggingface(source.bundle, place / "hf", drawn_texts(source.bundle.codec), "")
        return place / "hf"

    for name, make in (
        ("float32", lambda: ct2("float32")),
        ("int8", lambda: ct2("int8")),
        ("onnx", graphs),
        ("huggingface", huggingface),
    ):
        if name not in chosen:
            continue
        try:
            found[name] = make()
        except IsthmusError as error:
            sys.stdout.write(f"{name}: not measured: {error.rule}: {error}\n")
    return found


def systems(found: dict[str, Path], threads: int) -> dict[str, Path]:
    """What is measured, and the folder of each."""
    wanted = {"isthmus torch": found["torch"]}
    for kind in ("float32", "int8"):
        if kind in found:
            wanted[f"isthmus ctranslate2 {kind}"] = found[kind]
            for inter in (n for n in range(1, threads + 1) if threads % n == 0):
                wanted[f"ctranslate2 {kind} {inter}x{threads // inter}"] = found[kind]
    if "onnx" in found:
        wanted["isthmus onnx"] = found["onnx"]
    if "huggingface" in found:
        wanted["huggingface"] = found["huggingface"]
    return wanted


def megabytes(folder: Path) -> float:
    """The size of the weights' folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def asked(arguments: argparse.Namespace, system: str, folder: Path) -> dict[str, Any]:
    """One system in a process of its own."""
    command = [sys.executable, __file__, str(folder), "--input", arguments.input, "--one", system]
    command += ["--beam", str(arguments.beam), "--threads", str(arguments.threads), "--limit", str(arguments.limit)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no word"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(arguments: argparse.Namespace, runs: dict[str, list[dict[str, Any]]], wanted: dict[str, Path]) -> None:
    """Print the table."""
    from isthmus.generate.load import load

    tokenizer = load(arguments.model).codec.target
    references = [] if arguments.references is None else _lines(arguments.references, arguments.limit)
    print("| system | sentences/s | pieces/s | latency median, ms | p99, ms | memory, MB | size, MB | BLEU |")
    print("|---|---|---|---|---|---|---|---|")
    for system, several in runs.items():
        good = [one for one in several if "error" not in one]
        if not good:
            print(f"| {system} | failed: {several[0]['error']} |")
            continue
        outputs = good[0]["outputs"]
        seconds = statistics.median(one["seconds"] for one in good)
        pieces = sum(len(tokenizer.encode(text)) + 1 for text in outputs)
        bleu = metric("bleu").corpus_score(outputs, [[one] for one in references]) if references else float("nan")
        single = [1000 * statistics.median(one[name] for one in good) for name in ("median", "p99")]
        memory = statistics.median(one["memory"] for one in good)
        print(
            f"| {system} | {len(outputs) / seconds:.1f} | {pieces / seconds:.0f} | {single[0]:.1f} | {single[1]:.1f} "
            f"| {memory:.0f} | {megabytes(wanted[system]):.1f} | {bleu:.2f} |"
        )


def _lines(path: str, limit: int) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()[:limit]


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--input", required=True)
    parser.add_argument("--references")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--forms", nargs="+", default=FORMS, choices=FORMS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    texts = _lines(arguments.input, arguments.limit)
    if arguments.one:
        print(json.dumps(measured(arguments.one, arguments.model, texts, arguments.beam, arguments.threads)))
        return
    with tempfile.TemporaryDirectory() as place:
        wanted = systems(forms(arguments.model, Path(place), arguments.forms), arguments.threads)
        runs: dict[str, list[dict[str, Any]]] = {system: [] for system in wanted}
        for _ in range(arguments.repeats):
            for system, folder in wanted.items():
                runs[system].append(asked(arguments, system, folder))
        print(
            f"{len(texts)} sentences, beam {arguments.beam}, {arguments.threads} threads, {arguments.repeats} runs each\n"
        )
        report(arguments, runs, wanted)


if __name__ == "__main__":
    main()
