"""The student of a distillation: what it is made from, and how it is trained.

It has the teacher's encoder, which reads a source at once, and one decoder layer, since that writes piece by piece (Kasai et al.
2021, Deep Encoder, Shallow Decoder). It begins with the teacher's weights (`model.shrink`), or, where its architecture or its
tokenizer is to be another, with fresh ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.core.errors import InputError
from isthmus.data.pairs import Pairs
from isthmus.engines.forms import Described, open_bundle
from isthmus.model.decoders.transformer import TransformerDecoderConfig
from isthmus.model.encoders.transformer import TransformerEncoderConfig
from isthmus.model.presets import preset_table
from isthmus.model.shrink import shrunk
from isthmus.workflows.data_config import files_table
from isthmus.workflows.recipe import Recipe, with_changes

DEEP, START = 6, "start"
METRICS = ("bleu", "chrf")
OTHERS = ("model", "tokenizer", "codec")
"""Tables of a recipe of which a change makes the student another model than its teacher."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a student is made from.

    Attributes:
        teacher: the folder of a bundle, or of a training run, or the name of a model in the box.
        texts: what the teacher decodes, a text a line.
        out: the folder of the student's run; the student is left in `out/best`.
        minutes: the time for training the student; `None` is the steps of the recipe.
        beams: of the teacher's search.
        layers: of the student's decoder.
        pairs: what people wrote, learned beside what the teacher wrote.
        dev: pairs that choose the best student; by default some that the teacher wrote are held out.
        test: pairs that the table is about; by default `dev`.
        changes: `key.path=value` of the student's recipe.
    """

    teacher: str | Path
    texts: Path
    out: Path
    minutes: float | None = None
    beams: int = 5
    layers: int = 1
    pairs: Pairs | None = None
    dev: Pairs | None = None
    test: Pairs | None = None
    changes: tuple[str, ...] = ()


def student_recipe(lesson: Lesson, folder: Path, about: Described, taught: Path) -> Recipe:
    """The student's recipe; the bundle that it starts from, if any, is written to `out/start`.

    Args:
        lesson: what to make the student from.
        folder: of the teacher's bundle.
        about: what that says.
        taught: the pairs that the teacher wrote.

    Raises:
        InputError: the student is to learn a tokenizer of its own, and the teacher's is of no kind that can be learned.
        ConfigError: the teacher's decoder has not so many layers, or a change is wrong.
    """
    corpora = [files_table(each) for each in (Pairs(taught), lesson.pairs) if each is not None]
    held_out = {
        name: files_table(each) for name, each in (("dev", lesson.dev), ("test", lesson.test)) if each is not None
    }
    begins, rate = _beginning(lesson, folder, about)
    values: dict[str, Any] = {
        "about": f"A student of {lesson.teacher}: what its beam search makes of {lesson.texts.name} (Kim and Rush 2016).",
        "unit": str(about.info.get("unit", "")),
        "data": {
            "root": "/",
            "train": corpora,
            "source_language": str(about.info.get("source_language", "")),
            "target_language": str(about.info.get("target_language", "")),
            **held_out,
        },
        **begins,
        "train": {
            "steps": 10_000,
            "optimiser": {"kind": "adam", "learning_rate": rate},
            "schedule": {"kind": "linear", "warmup": 500},
            "average": {"kind": "ema", "decay": 0.998},
        },
        "validation": {"metrics": list(METRICS), "sentences": 300},
    }
    return Recipe.of(with_changes(values, lesson.changes), "the student's recipe")


def _beginning(lesson: Lesson, folder: Path, about: Described) -> tuple[dict[str, Any], float]:
    """Where the student begins, as tables of its recipe, and its highest learning rate: half as high from weights that know something."""
    other = any(change.strip().startswith(OTHERS) for change in lesson.changes)
    if isinstance(about.config.decoder, TransformerDecoderConfig) and not other:
        shrunk(open_bundle(folder), lesson.layers).save(lesson.out / START)
        return {"start": {"bundle": str((lesson.out / START).resolve())}}, 0.02 * about.config.d_model**-0.5
    codec, model = about.codec, _deep_and_shallow(about, lesson.layers)
    tables = {
        "tokenizer": {"joint": codec.joint, "source": _learned(codec.source), "target": _learned(codec.target)},
        "codec": codec.config.model_dump(mode="json", exclude={"frame"}),
        "model": model,
    }
    return tables, 0.04 * int(model["d_model"]) ** -0.5


def _learned(tokenizer: Any) -> dict[str, Any]:
    """The configuration of a tokenizer, to learn one like it from what the student learns from."""
    config: dict[str, Any] = tokenizer.config.model_dump(mode="json")
    if config.get("kind") not in ("sentencepiece", "characters", "symbols"):
        raise InputError(
            "a student of another architecture learns its own tokenizer, of the teacher's kind",
            expected="sentencepiece, characters or symbols",
            got=str(config.get("kind")),
            where="the teacher's tokenizer",
            fix="change nothing of the model, or train a student with a recipe of its own on what is in the folder `taught`",
        )
    return config


def _deep_and_shallow(about: Described, layers: int) -> dict[str, Any]:
    """The teacher's sizes where it is a Transformer, with many encoder layers and few decoder layers."""
    values: dict[str, Any] = about.config.model_dump(mode="json")
    if not isinstance(about.config.encoder, TransformerEncoderConfig) or not isinstance(
        about.config.decoder, TransformerDecoderConfig
    ):
        values = preset_table("deep-shallow")
    else:
        values["encoder"]["layers"] = max(DEEP, about.config.encoder.layers)
    values["decoder"]["layers"] = layers
    return values
