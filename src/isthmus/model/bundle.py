"""A model on disk: weights, configuration, tokenizers, generation options and a card, in one folder that is whole or not there.

A bundle knows nothing of training: loading it for inference never loads an optimiser.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from isthmus.core.errors import BundleError
from isthmus.core.files import new_folder, sha256, write_json, write_text
from isthmus.data.codec import Codec
from isthmus.data.example import Example
from isthmus.data.pairs import Pairs, read
from isthmus.model.build import ModelConfig, build
from isthmus.model.encoder_decoder import EncoderDecoder

FORMAT = 1
WEIGHTS, CONFIG, GENERATION, MANIFEST, CARD, SAMPLE = (
    "model.safetensors",
    "config.json",
    "generation.json",
    "manifest.json",
    "README.md",
    "sample.jsonl",
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model with all that is needed to use it.

    Attributes:
        model: the weights, in the model that they belong to.
        config: how the model is built.
        codec: how text becomes ids and back.
        generation: how to generate where a request says nothing else.
        info: what else is known: languages, unit (`sentence`), training data, scores; plain values.
        sample: some pairs that it was not trained on, to compare what runs it by; it may be empty.
    """

    model: EncoderDecoder
    config: ModelConfig
    codec: Codec
    generation: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    sample: tuple[Example, ...] = ()

    def save(self, folder: Path, card: str = "") -> None:
        """Write the bundle to a temporary folder, sync it and rename it to `folder`.

        Args:
            folder: where; what was there is replaced at the end.
            card: the model card, as Markdown.
        """
        with new_folder(folder) as temporary:
            save_weights(self.model, temporary / WEIGHTS)
            self.describe(temporary, {}, card)

    def describe(self, folder: Path, more: Mapping[str, Any], card: str = "") -> None:
        """Write what belongs to the weights that a folder already holds, and at last the manifest of all its files.

        Args:
            folder: where the weights are, in whatever form.
            more: what else `config.json` says.
            card: the model card, as Markdown.
        """
        about = {
            **more,
            "format": FORMAT,
            "model": self.config.model_dump(mode="json"),
            "source_size": self.codec.source.vocabulary.size,
            "target_size": self.codec.target.vocabulary.size,
            "info": dict(self.info),
        }
        self.codec.save(folder)
        write_json(folder / CONFIG, about)
        write_json(folder / GENERATION, dict(self.generation))
        write_text(folder / CARD, card or "# An Isthmus model\n")
        if self.sample:
            rows = [json.dumps(example.fields(), ensure_ascii=False) for example in self.sample]
            write_text(folder / SAMPLE, "".join(f"{row}\n" for row in rows))
        files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
        write_json(folder / MANIFEST, {path.name: sha256(path) for path in files})

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Read a bundle, checking every byte; the model is in `eval` mode.

        Raises:
            BundleError: there is no bundle, a file is missing or damaged, or the format is newer.
        """
        about = described(folder, WEIGHTS)
        return cls.of_weights(read_weights(folder / WEIGHTS), folder, about)

    @classmethod
    def of_weights(cls, found: Mapping[str, Tensor], folder: Path, about: Mapping[str, Any]) -> Bundle:
        """A bundle of weights that were read from a folder of another form.

        Args:
            found: the parameters by name.
            folder: what else there is of the bundle.
            about: what `described` gave.

        Raises:
            BundleError: names or shapes are not those of the model, or a file is damaged.
        """
        config = ModelConfig.of(about["model"], str(folder / CONFIG))
        with torch.random.fork_rng(devices=[]):
            model = build(config, about["source_size"], about["target_size"])
        put_weights(model, found, folder)
        codec = Codec.load(folder)
        return cls(model.eval(), config, codec, read_json(folder / GENERATION), about["info"], sample(folder))


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the parameters by name; a tied weight is written once, under its first name."""
    safetensors.torch.save_file(weights(model), path)


def weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters by name, each once, on the CPU."""
    return {name: parameter.detach().cpu().contiguous() for name, parameter in model.named_parameters()}


def load_weights(model: nn.Module, path: Path) -> None:
    """Read parameters into a model of the same shape.

    Raises:
        BundleError: the file is damaged, or names or shapes differ from the model's.
    """
    put_weights(model, read_weights(path), path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Raises:
        BundleError: the file is damaged.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise BundleError(
            "the weights cannot be read", got=str(error), where=str(path), fix="copy the bundle again"
        ) from None


def put_weights(model: nn.Module, found: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors into the parameters of a model.

    Args:
        model: of the same shape.
        found: the tensors by name.
        path: where they come from, for errors.

    Raises:
        BundleError: names or shapes differ from the model's.
    """
    own = dict(model.named_parameters())
    if found.keys() != own.keys():
        odd = sorted(found.keys() ^ own.keys())
        raise BundleError(
            "the weights are of another model",
            expected=f"{len(own)} tensors",
            got=f"{len(found)} tensors; {odd[0]} (and {len(odd) - 1} more) stands on one side only",
            where=str(path),
            fix="load them with the configuration that they were saved with",
        )
    with torch.no_grad():
        for name, parameter in own.items():
            if found[name].shape != parameter.shape:
                shapes = f"{tuple(parameter.shape)}", f"{tuple(found[name].shape)}"
                raise BundleError(
                    f"the weight {name} has another shape",
                    expected=shapes[0],
                    got=shapes[1],
                    where=str(path),
                    fix="load them with the configuration that they were saved with",
                )
            parameter.copy_(found[name])


def weights_hash(model: nn.Module) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of all weights: names a model in reports."""
    digest = hashlib.sha256()
    for name, tensor in weights(model).items():
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:12]


def described(folder: Path, weights: str) -> dict[str, Any]:
    """What `config.json` of a bundle says, after a look at every byte of its files.

    Args:
        folder: of the bundle.
        weights: the file that its weights are in.

    Raises:
        BundleError: there is no bundle, a file is missing or damaged, or the format is newer.
    """
    _check(folder, weights)
    about = read_json(folder / CONFIG)
    if about.get("format") != FORMAT:
        raise BundleError(
            "a bundle is of another format",
            expected=f"format {FORMAT}",
            got=f"format {about.get('format')}",
            where=str(folder / CONFIG),
            fix="use the version of Isthmus that wrote it, or a newer one",
        )
    return about


def sample(folder: Path) -> tuple[Example, ...]:
    """The sample that a folder holds, if it does."""
    path = folder / SAMPLE
    return tuple(read(Pairs(path))) if path.is_file() else ()


def _check(folder: Path, weights: str) -> None:
    """Every file of the manifest is there, with the bytes it was written with."""
    if not folder.is_dir() or not (folder / MANIFEST).is_file():
        raise BundleError(
            "this is not a bundle",
            expected=f"a folder with {MANIFEST}",
            got="a folder without one" if folder.is_dir() else "a file" if folder.exists() else "nothing there",
            where=str(folder),
            fix="name the folder that `isthmus train --out` made, or its folder `best`",
        )
    manifest = read_json(folder / MANIFEST)
    for name in (weights, CONFIG, GENERATION):
        if name not in manifest:
            raise BundleError(
                "a manifest lacks a file",
                expected=name,
                got="not listed",
                where=str(folder / MANIFEST),
                fix="copy it again",
            )
    for name, digest in manifest.items():
        path = folder / name
        if not path.is_file() or sha256(path) != digest:
            raise BundleError(
                "a file of the bundle is damaged",
                expected=f"SHA-256 {digest}",
                got=f"SHA-256 {sha256(path)}" if path.is_file() else "no such file",
                where=str(path),
                fix="copy the bundle again from where it came",
            )


def read_json(path: Path) -> dict[str, Any]:
    """The values of a JSON file of a bundle.

    Raises:
        BundleError: it cannot be read, or is no object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(
            "a file of the bundle cannot be read", got=str(error), where=str(path), fix="copy the bundle again"
        ) from None
    if not isinstance(values, dict):
        raise BundleError(
            "a file of the bundle is damaged",
            expected="a JSON object",
            got=type(values).__name__,
            where=str(path),
            fix="copy the bundle again",
        )
    return values
