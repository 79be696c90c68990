"""How fast one model is in every form: sentences and pieces a second, latency of one sentence, memory, size, quality.

    python benchmarks/inference.py MODEL --data test.tsv --threads 2 [--shortlist train.tsv] [--student STUDENT]

Isthmus in PyTorch, CTranslate2 (float32, int8, and int8 with a shortlist) and ONNX, beside plain CTranslate2 (`translate_batch` on pieces,
batches of 32, every division of the threads into inter x intra) and plain Hugging Face (`generate` on what `isthmus export` wrote), all
with the same weights, text and beam; and a student of the model, in int8, with a beam of its own. Each system has a process of its own, so
that its memory is its own; they run one after the other, `--repeats` times round, and the medians are shown. Equal sources are one, with
several references. What cannot hold a model says why.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.core.errors import IsthmusError
from isthmus.text.metrics import metric

if TYPE_CHECKING:  # a process that measures loads no more than its system needs
    from isthmus.workflows.prepare import Questions

BATCH, SINGLE = 32, 50
FORMS = ("float32", "int8", "shortlist", "onnx", "huggingface")
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
        return ours(folder, beams, threads, re.split("[ ,:]", rest)[0])
    if kind == "ctranslate2":
        precision, shape = rest.split(" ")
        inter, intra = map(int, shape.split("x"))
        return plain_ctranslate2(folder, beams, inter, intra, precision)
    return plain_huggingface(folder, beams, threads)


def peak() -> float:
    """The most memory of this process, in MB; what `getrusage` says would hold that of the process that started it too."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


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
        "memory": peak(),
        "outputs": outputs,
    }


def forms(model: Path, place: Path, chosen: Sequence[str], shortlist: str | None) -> dict[str, Path]:
    """The model in every chosen form that can hold it."""
    from isthmus.core.runtime import Runtime
    from isthmus.data.pairs import Pairs, read
    from isthmus.engines.ct2.folder import save_into
    from isthmus.export import onnx
    from isthmus.export.huggingface.write import export as to_huggingface
    from isthmus.export.shortlist import Shortlist
    from isthmus.export.source import Source
    from isthmus.generate.load import best_of

    folder = best_of(model)
    source, found = Source.of(folder), {"torch": folder}

    def ct2(kind: Any, name: str = "", listed: str = "") -> Path:
        folder = place / f"ct2-{kind}{name}"
        folder.mkdir()
        save_into(source.bundle, folder, kind, shortlist=listed)
        return folder

    def shortlisted() -> Path:
        return ct2("int8", "-shortlist", Shortlist.of(read(Pairs.parse(str(shortlist))), source.bundle.codec).text())

    def graphs() -> Path:
        onnx.export(source, place / "onnx", Runtime(threads=1))
        return place / "onnx"

    def huggingface() -> Path:
        to_huggingface(source, place / "hf", Runtime(threads=1))
        return place / "hf"

    for name, make in (
        ("float32", lambda: ct2("float32")),
        ("int8", lambda: ct2("int8")),
        ("shortlist", shortlisted),
        ("onnx", graphs),
        ("huggingface", huggingface),
    ):
        if name not in chosen or (name == "shortlist" and shortlist is None):
            continue
        try:
            found[name] = make()
        except IsthmusError as error:
            sys.stdout.write(f"{name}: not measured: {error.rule}: {error}\n")
    return found


@dataclass(frozen=True)
class System:
    """What is measured.

    Attributes:
        folder: of its model.
        beams: of its search.
    """

    folder: Path
    beams: int


def systems(found: dict[str, Path], arguments: argparse.Namespace, place: Path) -> dict[str, System]:
    """All that is measured, by name."""
    threads = arguments.threads
    wanted = {"isthmus torch": found["torch"]}
    for kind in ("float32", "int8"):
        if kind in found:
            wanted[f"isthmus ctranslate2 {kind}"] = found[kind]
            for inter in (n for n in range(1, threads + 1) if threads % n == 0):
                wanted[f"ctranslate2 {kind} {inter}x{threads // inter}"] = found[kind]
    for name, system in (("shortlist", "isthmus ctranslate2 int8, shortlist"), ("onnx", "isthmus onnx")):
        if name in found:
            wanted[system] = found[name]
    if "huggingface" in found:
        wanted["huggingface"] = found["huggingface"]
    every = {name: System(folder, arguments.beam) for name, folder in wanted.items()}
    if arguments.student is not None:
        (place / "student").mkdir()
        student = forms(arguments.student, place / "student", ("int8", "shortlist"), arguments.shortlist)
        names = {"int8": "ctranslate2 int8", "shortlist": "ctranslate2 int8, shortlist"}
        for form, name in names.items():
            if form in student:
                every[f"isthmus {name}: student"] = System(student[form], arguments.student_beam)
    return every


def megabytes(folder: Path) -> float:
    """The size of the weights' folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def asked(arguments: argparse.Namespace, name: str, system: System, texts: Path) -> dict[str, Any]:
    """One system in a process of its own."""
    command = [sys.executable, __file__, str(system.folder), "--data", str(texts), "--one", name]
    command += ["--beam", str(system.beams), "--threads", str(arguments.threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no word"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(
    arguments: argparse.Namespace, runs: dict[str, list[dict[str, Any]]], wanted: dict[str, System], test: Questions
) -> None:
    """Print the table."""
    from isthmus.generate.load import load

    tokenizer = load(arguments.model).codec.target
    print("| system | beam | sentences/s | pieces/s | latency median, ms | p99, ms | memory, MB | size, MB | BLEU |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, several in runs.items():
        good = [one for one in several if "error" not in one]
        if not good:
            print(f"| {name} | failed: {several[0]['error']} |")
            continue
        outputs = good[0]["outputs"]
        seconds = statistics.median(one["seconds"] for one in good)
        pieces = sum(len(tokenizer.encode(text)) + 1 for text in outputs)
        bleu = metric("bleu").corpus_score(outputs, test.references)
        single = [1000 * statistics.median(one[key] for one in good) for key in ("median", "p99")]
        system = wanted[name]
        memory = statistics.median(one["memory"] for one in good)
        print(
            f"| {name} | {system.beams} | {len(outputs) / seconds:.1f} | {pieces / seconds:.0f} | {single[0]:.1f} | {single[1]:.1f} "
            f"| {memory:.0f} | {megabytes(system.folder):.1f} | {bleu:.2f} |"
        )


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True, metavar="PAIRS")
    parser.add_argument("--shortlist", metavar="PAIRS", help="training pairs to learn a shortlist from")
    parser.add_argument("--student", type=Path, metavar="MODEL")
    parser.add_argument("--student-beam", type=int, default=1)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--forms", nargs="+", default=FORMS, choices=FORMS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    if arguments.one:
        texts: list[str] = json.loads(Path(arguments.data).read_text(encoding="utf-8"))
        print(json.dumps(measured(arguments.one, arguments.model, texts, arguments.beam, arguments.threads)))
        return
    from isthmus.data.pairs import Pairs, read
    from isthmus.workflows.prepare import questions

    test = questions(read(Pairs.parse(arguments.data))).first(arguments.limit)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        asking = place / "texts.json"
        asking.write_text(json.dumps([example.source for example in test.examples]), encoding="utf-8")
        wanted = systems(forms(arguments.model, place, arguments.forms, arguments.shortlist), arguments, place)
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in wanted}
        for _ in range(arguments.repeats):
            for name, system in wanted.items():
                runs[name].append(asked(arguments, name, system, asking))
        print(f"{len(test.examples)} sentences, {arguments.threads} threads, {arguments.repeats} runs each\n")
        report(arguments, runs, wanted, test)


if __name__ == "__main__":
    main()
