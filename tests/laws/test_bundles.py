"""Laws 8, 11 and 13: save and load to the bit, damage is noticed, tied weights are one, saving changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor, nn

from isthmus.core.errors import BundleError
from isthmus.core.files import sha256
from isthmus.data.codec import Codec, CodecConfig
from isthmus.model.bundle import CONFIG, MANIFEST, WEIGHTS, Bundle, load_weights, save_weights, weights_hash
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.transformer import Transformer
from isthmus.text.build import train_tokenizer
from isthmus.text.tokenizer import SymbolConfig, Tokenizer
from tests.laws.architectures import FAST, Architecture, agree, architectures, batch

BUILT = [one for one in FAST if one.connection != "two-way"]  # a connection of the tests' own has no configuration


def tokenizer(symbols: int) -> Tokenizer:
    return train_tokenizer(SymbolConfig(), [" ".join(f"s{number}" for number in range(symbols))])


def bundle_of(architecture: Architecture) -> Bundle:
    """The architecture over real vocabularies."""
    target = tokenizer(11)
    source = target if architecture.sizes[0] == architecture.sizes[1] else tokenizer(23)
    codec = Codec(source, target, CodecConfig())
    sizes = source.vocabulary.size, target.vocabulary.size
    model = architecture.model(sizes=sizes)
    return Bundle(model, architecture.config, codec, {"num_beams": 3}, {"unit": "sentence"})


def outputs(model: EncoderDecoder) -> tuple[Tensor, Tensor]:
    memory, decoded = model.read(batch(7, 3, 5), batch(5, 2, 3, seed=1))
    return memory.states_BSD, model.head.log_probs(decoded)


def same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def tables(model: EncoderDecoder) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter]:
    """The embeddings of source and target, and of the output."""
    parts = [model.get_submodule("encoder.embedding"), model.get_submodule("decoder.embedding"), model.head]
    source, target, output = (dict(part.named_parameters())["weight"] for part in parts)
    return source, target, output


def stored(folder: Path) -> dict[str, Tensor]:
    with safe_open(folder / WEIGHTS, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize("architecture", BUILT, ids=str)
@torch.no_grad()
def test_a_bundle_comes_back_to_the_bit(architecture: Architecture, tmp_path: Path) -> None:
    bundle = bundle_of(architecture)
    before = outputs(bundle.model)
    bundle.save(tmp_path / "one")
    assert same(outputs(bundle.model), before), "saving changed the model"
    random = torch.get_rng_state()
    loaded = Bundle.load(tmp_path / "one")
    assert torch.equal(torch.get_rng_state(), random), "loading drew random numbers"
    assert same(outputs(loaded.model), before)
    assert not loaded.model.training
    assert (loaded.config, dict(loaded.generation), dict(loaded.info)) == (
        bundle.config,
        {"num_beams": 3},
        {"unit": "sentence"},
    )
    assert loaded.codec.fingerprint() == bundle.codec.fingerprint()
    assert weights_hash(loaded.model) == weights_hash(bundle.model)
    loaded.save(tmp_path / "two")
    assert {path.name: sha256(path) for path in (tmp_path / "one").iterdir()} == {
        path.name: sha256(path) for path in (tmp_path / "two").iterdir()
    }


@architectures
@torch.no_grad()
def test_weights_come_back_to_the_bit(architecture: Architecture, tmp_path: Path) -> None:
    model, other = architecture.model(seed=1), architecture.model(seed=2)
    assert not same(outputs(model), outputs(other))
    save_weights(model, tmp_path / WEIGHTS)
    load_weights(other, tmp_path / WEIGHTS)
    assert same(outputs(model), outputs(other))


@architectures
@torch.no_grad()
def test_evaluation_is_repeatable(architecture: Architecture) -> None:
    """`eval()` again, `train()` and back, a forward in between: the same bits; with gradients on the same numbers.

    Not the same bits: with gradients queries, keys and values are one product (`nn.attention`), whose columns have other last bits on
    some processors than in three, and torch reads a sequence with another kernel of its LSTM.
    """
    model = architecture.model()
    before = outputs(model)
    assert same(outputs(model.eval()), before)
    model.train()
    assert not same(outputs(model), before), "dropout is not on while training"
    assert same(outputs(model.eval()), before)
    with torch.enable_grad():
        after = outputs(model)
    for one, other in zip(after, before, strict=True):
        agree(one, other)


@architectures
def test_tied_weights_are_one_and_stored_once(architecture: Architecture, tmp_path: Path) -> None:
    model = architecture.model()
    source, target, output = tables(model)
    tied = architecture.config.embedding.tied
    assert (source is target) == (tied in ("all", "source-target"))
    assert (target is output) == (tied in ("all", "target"))
    assert (source is output) == (tied == "all")
    save_weights(model, tmp_path / WEIGHTS)
    found = [
        tensor for tensor in stored(tmp_path).values() if tensor.shape[0] in architecture.sizes and tensor.dim() == 2
    ]
    assert len(found) == len({id(table) for table in (source, target, output)})
    assert stored(tmp_path).keys() == dict(model.named_parameters()).keys()
    other = architecture.model(seed=2)
    load_weights(other, tmp_path / WEIGHTS)
    assert (tables(other)[0] is tables(other)[1]) == (source is target)
    assert torch.equal(tables(other)[0], source)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "whole"
    bundle_of(BUILT[0]).save(folder)
    return folder


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_is_noticed(whole: Path, data: st.DataObject, tmp_path: Path) -> None:
    """In any file; only white space in the manifest itself may change, since it says nothing."""
    folder = tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())), label="file")
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1), label="byte")
    content[place] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path.write_bytes(content)
    if path.name == MANIFEST and content.split() == (whole / MANIFEST).read_bytes().split():
        return
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder)
    assert caught.value.where
    assert caught.value.fix


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_a_truncated_file_is_noticed(whole: Path, tmp_path: Path, share: float) -> None:
    for path in sorted(whole.iterdir()):
        folder = tmp_path / path.name
        shutil.copytree(whole, folder)
        content = path.read_bytes()
        (folder / path.name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(BundleError):
            Bundle.load(folder)


def test_a_missing_file_is_noticed(whole: Path, tmp_path: Path) -> None:
    for path in sorted(whole.iterdir()):
        folder = tmp_path / path.name
        shutil.copytree(whole, folder)
        (folder / path.name).unlink()
        with pytest.raises(BundleError) as caught:
            Bundle.load(folder)
        assert caught.value.got in ("no such file", "a folder without one")
        assert path.name in str(caught.value)


def test_what_is_not_a_bundle(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    for path, got in ((tmp_path, "a folder without one"), (file, "a file"), (tmp_path / "none", "nothing there")):
        with pytest.raises(BundleError, match="not a bundle") as caught:
            Bundle.load(path)
        error = caught.value
        assert (error.got, error.where) == (got, str(path))
        assert MANIFEST in error.expected
        assert "isthmus train" in error.fix


def signed(whole: Path, folder: Path, name: str, content: str) -> Path:
    """A copy of the bundle with another file, and a manifest that agrees."""
    shutil.copytree(whole, folder)
    (folder / name).write_text(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest[name] = sha256(folder / name)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def test_a_newer_format(whole: Path, tmp_path: Path) -> None:
    about = json.loads((whole / CONFIG).read_text())
    folder = signed(whole, tmp_path / "newer", CONFIG, json.dumps({**about, "format": 99}))
    with pytest.raises(BundleError, match="another format") as caught:
        Bundle.load(folder)
    error = caught.value
    assert (error.expected, error.got, error.where) == ("format 1", "format 99", str(folder / CONFIG))
    assert "newer" in error.fix


@pytest.mark.parametrize("content", ["[]", "7", "{", "\x00"])
def test_a_configuration_that_is_no_object(whole: Path, tmp_path: Path, content: str) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.load(signed(whole, tmp_path / "odd", CONFIG, content))
    assert caught.value.where.endswith(CONFIG)


def test_a_manifest_that_forgets_a_file(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "forgetful"
    shutil.copytree(whole, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest[WEIGHTS]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="lacks a file") as caught:
        Bundle.load(folder)
    assert caught.value.expected == WEIGHTS


def test_weights_of_another_model(tmp_path: Path) -> None:
    save_weights(Transformer(16, d_model=8, n_layers=1, n_heads=2), tmp_path / WEIGHTS)
    with pytest.raises(BundleError, match="another model") as caught:
        load_weights(Transformer(16, d_model=8, n_layers=2, n_heads=2), tmp_path / WEIGHTS)
    assert "layers.1" in caught.value.got
    with pytest.raises(BundleError, match="another shape") as caught:
        load_weights(Transformer(16, d_model=8, n_layers=1, n_heads=2, feed_forward=7), tmp_path / WEIGHTS)
    assert "feed_forward" in caught.value.rule
    (tmp_path / WEIGHTS).write_bytes(b"not weights")
    with pytest.raises(BundleError, match="cannot be read"):
        load_weights(Transformer(16, d_model=8, n_layers=1, n_heads=2), tmp_path / WEIGHTS)
    with pytest.raises(BundleError, match="cannot be read"):
        load_weights(Transformer(16, d_model=8, n_layers=1, n_heads=2), tmp_path / "none")


def test_saving_replaces_what_was_there_or_nothing(whole: Path, tmp_path: Path) -> None:
    bundle, folder = Bundle.load(whole), tmp_path / "model"
    bundle.save(folder, card="# First\n")
    bundle.save(folder, card="# Second\n")
    assert (folder / "README.md").read_text() == "# Second\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    broken = Bundle(bundle.model, bundle.config, bundle.codec, {"odd": object()})
    with pytest.raises(TypeError):
        broken.save(folder)
    assert Bundle.load(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
