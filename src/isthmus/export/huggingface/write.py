"""A bundle as a folder that `AutoModelForSeq2SeqLM` and `AutoTokenizer` of transformers open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import transformers

from isthmus.core.errors import ExportError
from isthmus.core.files import new_folder, write_text
from isthmus.core.runtime import Runtime
from isthmus.data.codec import Codec
from isthmus.data.example import Example
from isthmus.export.comparison import Comparison, Probe, compare
from isthmus.export.huggingface import t5
from isthmus.export.huggingface.families import family_of, their_config
from isthmus.export.huggingface.run import HuggingFace, quiet
from isthmus.export.huggingface.tensors import BART, their_tensors
from isthmus.export.huggingface.tokenizer_out import pipeline
from isthmus.export.source import Source
from isthmus.generate.options import GenerationOptions
from isthmus.model.bundle import Bundle
from isthmus.text.vocabulary import Vocabulary

_CARRIED: Final[tuple[str, ...]] = (
    "num_beams",
    "length_penalty",
    "early_stopping",
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "repetition_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
)
"""Options that both have by one name and meaning."""


def export(source: Source, out: Path, runtime: Runtime, target_language: str = "") -> Comparison:
    """Write a bundle for transformers, open it there, and compare: the folder is there only if both compute the same.

    Args:
        source: the bundle.
        out: the new folder.
        runtime: how to compute for the comparison.
        target_language: whose tag a source begins with, if the model reads one.

    Raises:
        InputError: no class computes exactly this model, or the tokenizer cannot be written.
        ExportError: the two differ.
    """
    bundle, codec = source.bundle, source.bundle.codec
    kind = _kind(bundle)
    language = target_language or source.task.target_language
    tokenizer = pipeline(codec, language)
    with quiet(), new_folder(out) as folder:
        _write_model(bundle, kind, folder)
        _write_tokenizer(bundle, tokenizer, folder)
        write_text(folder / "README.md", _card(source))
        theirs = HuggingFace.open(folder, source.target, codec.first_ids)
        examples = tuple(replace(one, target_language=language) for one in source.examples)
        probe = Probe.of(examples, codec, source.task)
        drawn = [codec.source.decode(ids[:-1]) for ids, _ in probe.pairs]
        _check_reading(theirs, codec, [one.source for one in examples] or drawn, language)
        found = compare(source.side(runtime), theirs, probe, codec)
        found.check(exact=True)
    return found


def _check_reading(theirs: HuggingFace, codec: Codec, texts: Sequence[str], language: str) -> None:
    """Refuse a tokenizer that makes other ids of a text."""
    for text in texts:
        ours = codec.source_ids(Example((text,), "", target_language=language))
        if (ids := theirs.source_ids(text)) != ours:
            raise ExportError(
                "the exported tokenizer reads a text otherwise than the model's",
                expected=str(ours),
                got=str(ids),
                where=repr(text[:40]),
                fix="report it with the model's codec: nothing was written",
            )


def _kind(bundle: Bundle) -> str:
    """The type of the model of transformers that computes the same."""
    if bundle.config.embedding.positions.kind == "t5":
        return t5.kind_of(bundle.config)
    return family_of(bundle.config, bundle.codec.target.vocabulary.pad).model_type


def _write_model(bundle: Bundle, kind: str, folder: Path) -> None:
    config, vocabulary = bundle.config, bundle.codec.target.vocabulary
    ids = _special_ids(bundle, vocabulary)
    like_t5 = kind in t5.KINDS
    values = t5.their_config(config, vocabulary.size) if like_t5 else their_config(config, vocabulary.size)
    model = _model(kind, {**values, **ids})
    tensors = their_tensors(bundle.model, config, t5.naming(config) if like_t5 else BART)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    computed = [name for name in missing if not name.endswith(("embed_positions.weight", "final_logits_bias"))]
    if computed or unexpected:
        raise ExportError(
            "transformers has other weights than this model",
            expected="the same names",
            got=", ".join([*computed, *unexpected][:3]),
            where=kind,
            fix="report it with the model's config.json and the version of transformers",
        )
    model.generation_config = _generation(bundle, ids)
    model.save_pretrained(folder)


def _model(kind: str, values: dict[str, Any]) -> Any:
    """A model of a type, with weights that are still to be set."""
    match kind:
        case "t5":
            return transformers.T5ForConditionalGeneration(transformers.T5Config(**values))
        case "umt5":
            return transformers.UMT5ForConditionalGeneration(transformers.UMT5Config(**values))
        case "marian":
            return transformers.MarianMTModel(transformers.MarianConfig(**values))
        case "bart":
            return transformers.BartForConditionalGeneration(transformers.BartConfig(**values))
        case "mbart":
            return transformers.MBartForConditionalGeneration(transformers.MBartConfig(**values))
        case "m2m_100":
            return transformers.M2M100ForConditionalGeneration(transformers.M2M100Config(**values))
        case _:
            return transformers.PegasusForConditionalGeneration(transformers.PegasusConfig(**values))


def _special_ids(bundle: Bundle, vocabulary: Vocabulary) -> dict[str, Any]:
    start, first = bundle.codec.config.frame.start, bundle.codec.first_ids
    return {
        "pad_token_id": vocabulary.pad,
        "bos_token_id": start,
        "eos_token_id": vocabulary.eos,
        "decoder_start_token_id": start,
        "forced_bos_token_id": first[0] if first else None,
        "forced_eos_token_id": None,
    }


def _generation(bundle: Bundle, ids: dict[str, Any]) -> Any:
    """How the model generates unless told otherwise: as the bundle says, 5 beams by default, and never control pieces."""
    given = GenerationOptions.of(bundle.generation, "generation.json").model_dump(exclude_unset=True)
    carried: dict[str, Any] = {name: given[name] for name in _CARRIED if name in given}
    never = sorted(bundle.codec.target.vocabulary.control - {*bundle.codec.first_ids})
    limit = bundle.config.embedding.positions.limit
    values: dict[str, Any] = {"num_beams": 5, "max_length": limit or 1024, **carried, **ids}
    return transformers.GenerationConfig(**values, suppress_tokens=never or None)


def _write_tokenizer(bundle: Bundle, made: Any, folder: Path) -> None:
    vocabulary = bundle.codec.source.vocabulary
    named: dict[str, str] = {
        "pad_token": vocabulary.piece(vocabulary.pad),
        "unk_token": vocabulary.piece(vocabulary.unk),
        "eos_token": vocabulary.piece(vocabulary.eos),
        "bos_token": vocabulary.piece(bundle.codec.config.frame.start),
    }
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=bundle.codec.config.max_source_length,
        **named,
    ).save_pretrained(folder)


def _card(source: Source) -> str:
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "---",
            "",
            source.card("Hugging Face transformers; it computes what the original does"),
            "```python",
            "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer",
            "",
            'tokenizer = AutoTokenizer.from_pretrained("this folder")',
            'model = AutoModelForSeq2SeqLM.from_pretrained("this folder")',
            'outputs = model.generate(**tokenizer(["..."], return_tensors="pt", padding=True))',
            "tokenizer.batch_decode(outputs, skip_special_tokens=True)",
            "```",
            "",
        ]
    )
