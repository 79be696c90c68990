"""Tiny models of transformers with random weights and tokenizers of their own, saved to folders as their users have them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import sentencepiece
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

CORPUS = ["the cat sat on the mat", "a dog, and a cat!", "mats and dogs the", "one two three four five six"] * 5
PIECES = ("<s>", "<pad>", "</s>", "<unk>")
LANGUAGES = ("en_XX", "fr_XX")
SIZES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 19,
        "decoder_ffn_dim": 23,
        "max_position_embeddings": 41,
    }
)


def spm(size: int = 60, **changes: Any) -> bytes:
    """A SentencePiece model of a few sentences."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        vocab_size=size,
        hard_vocab_limit=False,
        minloglevel=2,
        **changes,
    )
    return model.getvalue()


def pieces_of(model: bytes) -> list[tuple[str, float]]:
    """The learned pieces with their scores."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [(processor.id_to_piece(n), processor.get_score(n)) for n in range(3, processor.get_piece_size())]


def pipeline(first: tuple[str, ...], eos: str, last: tuple[str, ...], template: str) -> Tokenizer:
    """A unigram pipeline as transformers builds it: special pieces, learned ones, more special ones."""
    vocabulary = [*((name, 0.0) for name in first), *pieces_of(spm()), *((name, 0.0) for name in last)]
    made = Tokenizer(models.Unigram(vocabulary, unk_id=first.index("<unk>"), byte_fallback=False))
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    made.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in (*first, *last)])
    made.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(name, made.token_to_id(name)) for name in {eos, *template.split()} - {"$A"}]
    )
    return made


def randomised(model: Any, seed: int = 3) -> Any:
    """The model, in which no weight is 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" in name and not parameter.requires_grad:
                continue
            parameter.add_(
                torch.randn(parameter.shape, generator=generator), alpha=0.3 if parameter.dim() == 2 else 0.2
            )
        for name, buffer in model.named_buffers():
            if name == "final_logits_bias":
                buffer.copy_(torch.randn(buffer.shape, generator=generator))
    return model.eval()


def saved(model: Any, tokenizer: Tokenizer, folder: Path, named: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """Save a model with a fast tokenizer, and return it."""
    model.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="</s>", **named
    ).save_pretrained(folder)
    return model


def bart_kind(kind: str, folder: Path, **changes: Any) -> Any:
    """BART, Pegasus, mBART or NLLB (M2M100) with a fast tokenizer, saved to a folder."""
    first: tuple[str, ...] = PIECES
    last: tuple[str, ...] = ()
    template = "$A </s>"
    ids: dict[str, int | None] = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    if kind == "bart":
        template = "<s> $A </s>"
    if kind == "pegasus":
        first = ("<pad>", "</s>", "<unk>", "<mask_1>")
        ids = {"bos_token_id": None, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    if kind == "mbart":
        last = LANGUAGES
        template = "$A </s> en_XX"
    if kind == "m2m_100":
        last = ("eng_Latn", "fra_Latn")
        template = "eng_Latn $A </s>"
    tokenizer = pipeline(first, "</s>", last, template)
    values = {**SIZES, "vocab_size": tokenizer.get_vocab_size() + 3, "forced_eos_token_id": None, **ids, **changes}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model: Any = {
            "bart": lambda: transformers.BartForConditionalGeneration(transformers.BartConfig(**values)),
            "pegasus": lambda: transformers.PegasusForConditionalGeneration(transformers.PegasusConfig(**values)),
            "mbart": lambda: transformers.MBartForConditionalGeneration(transformers.MBartConfig(**values)),
            "m2m_100": lambda: transformers.M2M100ForConditionalGeneration(transformers.M2M100Config(**values)),
        }[kind]()
    return saved(randomised(model), tokenizer, folder)


def marian(folder: Path, separate: bool = False, **changes: Any) -> Any:
    """Marian with its two SentencePiece models and a vocabulary of its own order, saved to a folder."""
    folder.mkdir()
    models_of = spm(60), spm(52, model_type="bpe")
    (folder / "source.spm").write_bytes(models_of[0])
    (folder / "target.spm").write_bytes(models_of[1])
    learned = [sorted({piece for piece, _ in pieces_of(model)}) for model in models_of]
    sides = learned if separate else [sorted({*learned[0], *learned[1]})] * 2
    names = [["</s>", "<unk>", *side, ">>fra<<", "<pad>"] for side in sides]
    (folder / "vocab.json").write_text(json.dumps({name: n for n, name in enumerate(names[0])}), encoding="utf-8")
    if separate:
        width = max(map(len, names))
        names[1] = [*names[1][:-1], *(f"x{n}" for n in range(width - len(names[1]))), "<pad>"]
        names[0] = [*names[0][:-1], *(f"x{n}" for n in range(width - len(names[0]))), "<pad>"]
        for file, side in (("vocab.json", names[0]), ("target_vocab.json", names[1])):
            (folder / file).write_text(json.dumps({name: n for n, name in enumerate(side)}), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "MarianTokenizer", "separate_vocabs": separate}), encoding="utf-8"
    )
    pad = len(names[0]) - 1
    ids = {"pad_token_id": pad, "eos_token_id": 0, "bos_token_id": 0, "decoder_start_token_id": pad}
    values = {**SIZES, **ids, "vocab_size": pad + 1, "scale_embedding": True, "forced_eos_token_id": 0}
    if separate:
        values |= {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": len(names[1])}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = randomised(
            transformers.MarianMTModel(transformers.MarianConfig(**values, activation_function="swish", **changes))
        )
    model.save_pretrained(folder)
    return model


def m2m_100(folder: Path) -> Any:
    """M2M100 with its SentencePiece model and the languages that its tokenizer counts on behind the vocabulary, saved to a folder."""
    folder.mkdir()
    (folder / "spm").write_bytes(spm())
    names = [*PIECES, *(piece for piece, _ in pieces_of(spm()))]
    (folder / "vocab").write_text(json.dumps({name: n for n, name in enumerate(names)}), encoding="utf-8")
    tokenizer = transformers.M2M100Tokenizer(str(folder / "vocab"), str(folder / "spm"), src_lang="en", tgt_lang="fr")
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    values = {**SIZES, **ids, "vocab_size": len(names) + 108, "forced_eos_token_id": None, "scale_embedding": True}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = randomised(transformers.M2M100ForConditionalGeneration(transformers.M2M100Config(**values)))
    model.save_pretrained(folder, max_shard_size="20KB")
    tokenizer.save_pretrained(folder)
    return model


def t5_kind(kind: str, folder: Path, own_head: bool = False, **changes: Any) -> Any:
    """T5, mT5 or UMT5 with a fast tokenizer, saved to a folder."""
    tokenizer = pipeline(("<pad>", "</s>", "<unk>"), "</s>", ("<extra_id_1>", "<extra_id_0>"), "$A </s>")
    values = {
        "vocab_size": tokenizer.get_vocab_size() + 5,
        "d_model": 16,
        "d_kv": 5,
        "d_ff": 19,
        "num_layers": 2,
        "num_heads": 4,
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 11,
        "decoder_start_token_id": 0,
        **changes,
    }
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model: Any = {
            "t5": lambda: transformers.T5ForConditionalGeneration(transformers.T5Config(**values)),
            "mt5": lambda: transformers.MT5ForConditionalGeneration(transformers.MT5Config(**values)),
            "umt5": lambda: transformers.UMT5ForConditionalGeneration(transformers.UMT5Config(**values)),
        }[kind]()
        randomised(model)
        if own_head:
            model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    saved(model, tokenizer, folder)
    if (
        own_head
    ):  # transformers ties the head of every T5 when it saves; older versions kept it, and so do the folders they wrote
        weights = load_file(folder / "model.safetensors")
        save_file({**weights, "lm_head.weight": model.lm_head.weight.detach()}, folder / "model.safetensors")
    return model


def half_kind(kind: str, folder: Path) -> Any:
    """BERT, or GPT-2 as a language model, with a fast tokenizer, saved to a folder."""
    if kind == "bert":
        first = ("[PAD]", "[CLS]", "[SEP]", "<unk>")
        tokenizer = pipeline(first, "[SEP]", (), "[CLS] $A [SEP]")
        config = transformers.BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=19,
            max_position_embeddings=41,
            pad_token_id=0,
        )
        model: Any = transformers.BertModel(config, add_pooling_layer=False)
    else:
        tokenizer = pipeline(("<|endoftext|>", "<unk>"), "<|endoftext|>", (), "$A")
        model = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                vocab_size=tokenizer.get_vocab_size(),
                n_embd=16,
                n_layer=2,
                n_head=4,
                n_positions=41,
                bos_token_id=0,
                eos_token_id=0,
            )
        )
    randomised(model)
    model.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)
    return model
