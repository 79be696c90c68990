"""A local folder of transformers as a bundle of ours, which computes the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from isthmus.core.errors import InputError
from isthmus.export.huggingface import t5
from isthmus.export.huggingface.families import FAMILIES, family_named, our_config
from isthmus.export.huggingface.folder import described, read_config, read_json, read_weights
from isthmus.export.huggingface.tensors import BART, put
from isthmus.export.huggingface.tokenizer_in import Asked, codec_of
from isthmus.generate.options import GenerationOptions
from isthmus.model.build import ModelConfig, build
from isthmus.model.bundle import Bundle

_CARRIED = ("num_beams", "length_penalty", "early_stopping", "no_repeat_ngram_size", "min_length")


def read(folder: Path, source_language: str = "", target_language: str = "") -> Bundle:
    """Read a folder; nothing is written.

    Args:
        folder: with `config.json`, weights in safetensors format and a tokenizer.
        source_language: of sources; a model of many languages needs both.
        target_language: of targets.

    Raises:
        InputError: the folder is missing or holds no such model, its weights are not in safetensors format, or something in it
            has no counterpart here.
        BundleError: a weight is missing or has another shape.
    """
    values = read_config(folder)
    kind = str(values["model_type"])
    check_kind(kind, folder)
    weights = read_weights(folder)
    with described(folder):
        config = (
            t5.our_config(values, _own_head(weights)) if kind in t5.KINDS else our_config(family_named(kind), values)
        )
        sizes = _sizes(values, config)
    naming = t5.naming(config) if kind in t5.KINDS else BART
    generation = folder / "generation_config.json"
    given = read_json(generation) if generation.is_file() else values
    asked = Asked(folder, values, given, source_language, target_language)
    codec = codec_of(asked, sizes, config.embedding.positions.limit)
    with torch.random.fork_rng(devices=[]):
        model = build(config, *sizes)
    put(model, weights, str(folder), naming)
    info = {
        "source_language": _plain(source_language),
        "target_language": _plain(target_language),
        "imported": kind,
    }
    return Bundle(model.eval(), config, codec, _generation(given), info)


def check_kind(kind: str, folder: Path) -> None:
    """Refuse a type of models that has no counterpart here.

    Raises:
        InputError: it is none of those that are known.
    """
    known = [*(family.model_type for family in FAMILIES), *t5.KINDS]
    if kind not in known:
        raise InputError(
            "models of this type cannot be imported",
            expected=f"model_type: {', '.join(known)}",
            got=kind,
            where=str(folder / "config.json"),
            fix=_WHY.get(kind, "take a model of one of these types"),
        )


def _own_head(weights: Mapping[str, Tensor]) -> bool:
    """Whether the head is another matrix than the table of the embeddings (T5 v1.1, mT5)."""
    head, shared = weights.get("lm_head.weight"), weights.get("shared.weight")
    return head is not None and shared is not None and not torch.equal(head, shared)


_WHY: Mapping[str, str] = MappingProxyType(
    {
        "t5gemma": "T5Gemma caps attention logits, slides windows and norms behind sublayers too: none of it has a counterpart yet",
        "bert": "it is an encoder alone: start the encoder of a new model from it, with --start encoder",
        "gpt2": "it is a decoder alone: start the decoder of a new model from it, with --start decoder",
    }
)


def _sizes(values: Mapping[str, Any], config: ModelConfig) -> tuple[int, int]:
    size = int(values["vocab_size"])
    joint = config.embedding.tied == "all" or values.get("share_encoder_decoder_embeddings", True)
    return size, size if joint else int(values.get("decoder_vocab_size") or size)


def _plain(language: str) -> str:
    """A BCP 47 tag, where the tokenizer's name of a language is not one."""
    return language.split("_", maxsplit=1)[0]


def _generation(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the folder says of generating, as far as both have it by one name and meaning."""
    carried = {name: given[name] for name in _CARRIED if given.get(name) is not None}
    length = carried.get("min_length", 0)
    return GenerationOptions.of({**carried, "min_length": max(0, length - 1)}).model_dump(
        mode="json", exclude_unset=True
    )


def card(bundle: Bundle, folder: Path) -> str:
    """Markdown for the bundle's `README.md`.

    Args:
        bundle: what was read.
        folder: where from.
    """
    numbers = sum(parameter.numel() for parameter in bundle.model.parameters())
    return "\n".join(
        [
            "# A model from Hugging Face",
            "",
            f"- From the folder {folder.resolve().name}, a model of the type {bundle.info['imported']}, {numbers:,} parameters",
            "- Its licence, data and limits are those of the original; see its own card.",
            "",
        ]
    )
