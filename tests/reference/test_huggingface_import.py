"""Folders that transformers saved, of random weights, become bundles that compute and read the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from isthmus.core.errors import BundleError, InputError
from isthmus.core.padded import Padded
from isthmus.core.runtime import Runtime
from isthmus.data.example import Example
from isthmus.export.huggingface.read import read
from isthmus.export.huggingface.warm import read_half
from isthmus.export.huggingface.write import export
from isthmus.export.source import Source
from isthmus.generate.load import translator
from isthmus.model.bundle import Bundle
from isthmus.workflows.recipe import load_recipe
from isthmus.workflows.run import Request, run
from tests.laws.architectures import rows
from tests.reference.hugging import bart_kind, half_kind, m2m_100, marian, t5_kind
from tests.unit.cli.calling import called

TEXTS = ["the cat sat on the mat", "a dog, and a cat!", "mats xyz dogs", ""]
LANGUAGES = {"mbart": ("en", "fr"), "m2m_100-spm": ("en", "fr"), "m2m_100": ("eng_Latn", "fra_Latn")}
Make = Callable[[Path], Any]
MODELS: dict[str, Make] = {
    "marian": marian,
    "marian-separate": lambda folder: marian(folder, separate=True),
    "bart": lambda folder: bart_kind("bart", folder, activation_function="gelu", forced_bos_token_id=0),
    "pegasus": lambda folder: bart_kind("pegasus", folder, scale_embedding=True),
    "mbart": lambda folder: bart_kind("mbart", folder, scale_embedding=True),
    "m2m_100": lambda folder: bart_kind("m2m_100", folder, scale_embedding=True),
    "m2m_100-spm": m2m_100,
    "t5": lambda folder: t5_kind("t5", folder, feed_forward_proj="relu"),
    "t5-v1.1": lambda folder: t5_kind(
        "t5", folder, own_head=True, feed_forward_proj="gated-gelu", tie_word_embeddings=False
    ),
    "mt5": lambda folder: t5_kind("mt5", folder, own_head=True, feed_forward_proj="gated-gelu", num_decoder_layers=3),
    "umt5": lambda folder: t5_kind("umt5", folder, feed_forward_proj="gated-gelu"),
    "untied": lambda folder: bart_kind("bart", folder, tie_word_embeddings=False),
}


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_states_logits_and_outputs_are_theirs(name: str, tmp_path: Path) -> None:
    theirs = MODELS[name](tmp_path / "theirs")
    ours = read(tmp_path / "theirs", *LANGUAGES.get(name, ("", "")))
    ours.save(tmp_path / "ours")
    ours = Bundle.load(tmp_path / "ours")
    size = theirs.config.vocab_size
    source = Padded.of(rows(7, 1, 11, size=size - 8))
    target = Padded.of(rows(3, 13, 2, size=size - 8, seed=1))
    ids_BS = source.ids_BT.masked_fill(~source.mask_BT, theirs.config.pad_token_id)
    expected = theirs(input_ids=ids_BS, attention_mask=source.mask_BT.long(), decoder_input_ids=target.ids_BT)
    states_BSD = ours.model.encode(source).states_BSD
    real_BS, real_BT = source.mask_BT, target.mask_BT
    torch.testing.assert_close(states_BSD[real_BS], expected.encoder_last_hidden_state[real_BS], rtol=1e-4, atol=1e-5)
    logits_BTV = expected.logits.log_softmax(dim=-1)
    torch.testing.assert_close(ours.model(source, target)[real_BT], logits_BTV[real_BT], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["marian", "bart", "pegasus", "mbart", "m2m_100", "m2m_100-spm", "t5"])
def test_texts_become_the_ids_that_transformers_gives(name: str, tmp_path: Path) -> None:
    MODELS[name](tmp_path / "theirs")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    codec = read(tmp_path / "theirs", *LANGUAGES.get(name, ("", ""))).codec
    for text in TEXTS:
        ids = codec.source_ids(Example((text,), ""))
        assert ids == tokenizer(text)["input_ids"]
        inner = codec.source.encode(text)
        assert codec.source.decode(inner) == tokenizer.decode(inner, skip_special_tokens=True)


@pytest.mark.parametrize("name", ["marian", "bart", "mbart", "m2m_100", "t5"])
def test_it_generates_what_transformers_generates(name: str, tmp_path: Path) -> None:
    theirs = MODELS[name](tmp_path / "theirs")
    ours = read(tmp_path / "theirs", *LANGUAGES.get(name, ("", "")))
    codec = ours.codec
    found = theirs.generate(
        input_ids=torch.tensor([codec.source_ids(Example((TEXTS[0],), ""))]),
        decoder_start_token_id=codec.config.frame.start,
        forced_bos_token_id=codec.first_ids[0] if codec.first_ids else None,
        forced_eos_token_id=None,
        suppress_tokens=sorted(codec.target.vocabulary.control - {*codec.first_ids}),
        num_beams=1,
        do_sample=False,
        max_length=12,
    )[0].tolist()[1:]
    machine, end = translator(ours), codec.target.vocabulary.eos
    options = machine.options.updated({"num_beams": 1, "max_length": 10, "guards": False, "split_sentences": False})
    (answer,) = machine.answers([TEXTS[0]], options)
    assert list(answer.hypotheses[0].parts[0].ids) == (found[: found.index(end)] if end in found else found[:10])


@pytest.mark.parametrize("name", ["bart", "m2m_100", "t5", "umt5"])
def test_it_goes_out_again(name: str, tmp_path: Path) -> None:
    MODELS[name](tmp_path / "theirs")
    read(tmp_path / "theirs", *LANGUAGES.get(name, ("", ""))).save(tmp_path / "ours")
    source = Source.of(tmp_path / "ours", tuple(Example((text,), text) for text in TEXTS[:2]))
    found = export(source, tmp_path / "out", Runtime(threads=1))
    assert found.searched >= 2


@torch.no_grad()
def test_an_encoder_begins_as_bert(tmp_path: Path) -> None:
    theirs = half_kind("bert", tmp_path / "bert")
    ours = read_half(tmp_path / "bert", "encoder")
    source = Padded.of(rows(7, 1, 11, size=30))
    expected = theirs(input_ids=source.ids_BT, attention_mask=source.mask_BT.long()).last_hidden_state
    real_BS = source.mask_BT
    torch.testing.assert_close(ours.model.encode(source).states_BSD[real_BS], expected[real_BS], rtol=1e-4, atol=1e-5)
    codec = ours.codec
    assert codec.source_ids(Example(("the cat",), "")) == [1, *codec.source.encode("the cat"), 2]
    assert (codec.config.frame.start, codec.target.vocabulary.eos) == (1, 2)


def silent(bundle: Bundle) -> None:
    """Take what the connection says away."""
    for name, parameter in bundle.model.named_parameters():
        if "connection.output" in name:
            parameter.zero_()


@torch.no_grad()
def test_a_decoder_begins_as_gpt2(tmp_path: Path) -> None:
    theirs = half_kind("gpt2", tmp_path / "gpt2")
    ours = read_half(tmp_path / "gpt2", "decoder")
    silent(ours)
    target = Padded.of(rows(3, 13, 2, size=30, seed=1))
    expected = theirs(input_ids=target.ids_BT).logits.log_softmax(dim=-1)
    found = ours.model(Padded.of(rows(4, 2, 6, size=30)), target)
    real_BT = target.mask_BT
    torch.testing.assert_close(found[real_BT], expected[real_BT], rtol=1e-4, atol=2e-5)


@torch.no_grad()
def test_two_berts_are_one_model(tmp_path: Path) -> None:
    half_kind("bert", tmp_path / "bert")
    ours = read_half(tmp_path / "bert", "both")
    config = transformers.BertConfig.from_pretrained(tmp_path / "bert", is_decoder=True, add_cross_attention=True)
    theirs: Any = transformers.BertModel.from_pretrained(
        tmp_path / "bert", config=config, add_pooling_layer=False
    ).eval()
    own = dict(ours.model.decoder.named_parameters())
    for name, parameter in theirs.named_parameters():
        if "crossattention" in name:
            place, _, rest = name.removeprefix("encoder.layer.").partition(".crossattention.")
            part = {
                "self": "connection",
                "output.dense": "connection.output",
                "output.LayerNorm": "around_connection.norm",
            }
            (named,) = [rest.replace(old, new) for old, new in part.items() if rest.startswith(old)]
            parameter.copy_(own[f"layers.{place}.{named}"])
    source, target = Padded.of(rows(7, 1, 11, size=30)), Padded.of(rows(3, 13, 2, size=30, seed=1))
    memory, decoded = ours.model.read(source, target)
    expected = theirs(
        input_ids=target.ids_BT,
        encoder_hidden_states=memory.states_BSD,
        encoder_attention_mask=source.mask_BT.long(),
        attention_mask=target.mask_BT.long(),
    ).last_hidden_state
    real_BT = target.mask_BT
    torch.testing.assert_close(decoded.features_BTD[real_BT], expected[real_BT], rtol=1e-4, atol=1e-5)


def test_a_half_is_of_a_model_that_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half_kind("gpt2", tmp_path / "gpt2")
    done = called(monkeypatch, "import", tmp_path / "gpt2", tmp_path / "ours", "--start", "encoder")
    assert done.code == 2
    assert "gpt2 with --start encoder" in done.err
    whole = called(monkeypatch, "import", tmp_path / "gpt2", tmp_path / "ours")
    assert whole.code == 2
    assert "--start decoder" in whole.err


RECIPE = """
[data]
train = [{ source = "pairs.tsv" }]
[start]
bundle = "imported"
lora = { rank = 2 }
[train]
steps = 3
precision = "float32"
validate_every = 3
[validation]
metrics = ["chrf"]
sentences = 3
"""


@pytest.mark.parametrize("name", ["bart", "marian-separate", "t5"])
def test_it_is_tuned_like_our_own(name: str, tmp_path: Path) -> None:
    MODELS[name](tmp_path / "theirs")
    before = read(tmp_path / "theirs")
    before.save(tmp_path / "imported")
    words = ["the", "cat", "sat", "on", "mat", "a", "dog", "and", "mats", "dogs", "one", "two"]
    lines = [" ".join(words[n % 12 : n % 12 + 1 + n // 12]) for n in range(60)]
    (tmp_path / "pairs.tsv").write_text("".join(f"{line}\t{line}\n" for line in lines), encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    recipe = load_recipe(tmp_path / "recipe.toml", [f'data.root="{tmp_path}"'])
    run(Request(recipe, tmp_path), tmp_path / "run")
    after = Bundle.load(tmp_path / "run" / "best")
    assert after.codec.config == before.codec.config
    changed = [
        name
        for (name, old), new in zip(before.model.named_parameters(), after.model.parameters(), strict=True)
        if not torch.equal(old, new)
    ]
    assert changed
    assert all(name.endswith(("query.weight", "value.weight")) for name in changed)


def test_shards_are_read(tmp_path: Path) -> None:
    m2m_100(tmp_path / "theirs")
    assert not (tmp_path / "theirs" / "model.safetensors").exists()
    codec = read(tmp_path / "theirs", "en", "fr").codec
    assert codec.target.vocabulary.piece(codec.first_ids[0]) == "__fr__"


def test_mbart_50_says_the_language_first(tmp_path: Path) -> None:
    bart_kind("mbart", tmp_path / "theirs")
    path = tmp_path / "theirs" / "tokenizer_config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, "tokenizer_class": "MBart50Tokenizer"}), encoding="utf-8")
    frame = read(tmp_path / "theirs", "en", "fr").codec.config.frame
    pieces = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs").convert_tokens_to_ids(["en_XX", "fr_XX"])
    assert (frame.before, frame.after, frame.start, frame.first) == ((pieces[0],), (2,), 2, (pieces[1],))


def test_text_cannot_spell_a_control_piece(tmp_path: Path) -> None:
    bart_kind("bart", tmp_path / "theirs")
    codec = read(tmp_path / "theirs").codec
    ids = codec.source.encode("the</s><pad> cat")
    assert not {*ids} & ({*codec.source.vocabulary.control} - {codec.source.vocabulary.unk} | {2})


def test_a_language_of_many_has_to_be_named(tmp_path: Path) -> None:
    bart_kind("mbart", tmp_path / "theirs")
    with pytest.raises(InputError, match="imported for one pair") as caught:
        read(tmp_path / "theirs", "en", "xx")
    assert caught.value.where == "--target-language"


def test_marian_says_the_target_language_first(tmp_path: Path) -> None:
    marian(tmp_path / "theirs")
    codec = read(tmp_path / "theirs", "en", "fra").codec
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    assert codec.source_ids(Example(("the cat",), "")) == tokenizer(">>fra<< the cat")["input_ids"]


def broken(folder: Path, what: str) -> Path:
    """A folder that cannot be imported."""
    if what == "missing":
        return folder / "nowhere"
    bart_kind("bart", folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = folder / "model.safetensors"
    match what:
        case "no config":
            (folder / "config.json").unlink()
        case "not json":
            (folder / "config.json").write_text("{", encoding="utf-8")
        case "unknown type" | "t5gemma":
            values = {**config, "model_type": "t5gemma" if what == "t5gemma" else "llama"}
            (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
        case "activation":
            (folder / "config.json").write_text(json.dumps({**config, "activation_function": "mish"}), encoding="utf-8")
        case "no size":
            (folder / "config.json").write_text(
                json.dumps({name: value for name, value in config.items() if name != "d_model"}), encoding="utf-8"
            )
        case "damaged tokenizer":
            (folder / "tokenizer.json").write_text('{"model": {}}', encoding="utf-8")
        case "pickle":
            weights.rename(folder / "pytorch_model.bin")
        case "damaged":
            weights.write_bytes(weights.read_bytes()[:99])
        case "other shape":
            (folder / "config.json").write_text(json.dumps({**config, "encoder_ffn_dim": 17}), encoding="utf-8")
        case _:
            (folder / "tokenizer.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ("missing", InputError, "is a local folder"),
        ("no config", InputError, "not a model of Hugging Face"),
        ("not json", InputError, "not a model of Hugging Face"),
        ("unknown type", InputError, "models of this type cannot be imported"),
        ("t5gemma", InputError, "caps attention logits"),
        ("activation", InputError, "the activation has no counterpart"),
        ("no size", InputError, "not a model of Hugging Face"),
        ("damaged tokenizer", InputError, "not a pipeline of the tokenizers library"),
        ("pickle", InputError, "may run code when they are opened"),
        ("damaged", InputError, "the weights cannot be read"),
        ("other shape", BundleError, "a weight is not what config.json says"),
        ("no tokenizer", InputError, "no tokenizer that can be read"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(what: str, error: Any, said: str, tmp_path: Path) -> None:
    folder = broken(tmp_path / "theirs", what)
    with pytest.raises(error, match=said):
        read(folder)


def test_the_command_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = broken(tmp_path / "theirs", "pickle")
    done = called(monkeypatch, "import", folder, tmp_path / "ours")
    assert done.code == 2
    assert "pytorch_model.bin" in done.err
    assert not (tmp_path / "ours").exists()


def test_the_command_writes_a_bundle_that_generates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bart_kind("pegasus", tmp_path / "theirs")
    assert called(monkeypatch, "import", tmp_path / "theirs", tmp_path / "ours").code == 0
    done = called(monkeypatch, "generate", tmp_path / "ours", "the cat", "--max-length", 5)
    assert done.code == 0
    assert len(done.out.splitlines()) == 1
