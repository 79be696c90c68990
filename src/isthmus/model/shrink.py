"""A model with fewer decoder layers, made of the layers of another: where a student begins that is not to learn everything anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from isthmus.core.errors import ConfigError
from isthmus.model.build import build
from isthmus.model.bundle import Bundle, put_weights, weights
from isthmus.model.decoders.transformer import TransformerDecoderConfig

LAYERS = "decoder.layers."


def kept(of: int, to: int) -> tuple[int, ...]:
    """Which of `of` layers stay when `to` are left: the last of each of `to` groups as equal as can be.

    Example:
        >>> kept(6, 2)
        (2, 5)
    """
    return tuple((place + 1) * of // to - 1 for place in range(to))


def shrunk(bundle: Bundle, layers: int) -> Bundle:
    """The same model with fewer decoder layers; all else, the encoder above all, is as it was.

    Shleifer and Rush 2020, Pre-trained Summarization Distillation, section 3.2 ("shrink and fine-tune"): such a model writes
    badly until it is trained a while, and then soon better than one of fresh weights. They keep other layers, the first among
    them; here the last of each group is kept, which is nearer to what the head has learned to read.

    Args:
        bundle: with a Transformer decoder.
        layers: how many its decoder is to have.

    Raises:
        ConfigError: the decoder is not a Transformer, has fewer layers, or layers that depend on where they stand.
    """
    decoder = bundle.config.decoder
    if not isinstance(decoder, TransformerDecoderConfig):
        raise _cannot("a Transformer", decoder.kind)
    if not 1 <= layers <= decoder.layers:
        raise _cannot(f"1 to {decoder.layers} layers", str(layers))
    config = bundle.config.model_copy(update={"decoder": decoder.model_copy(update={"layers": layers})})
    model = build(config, bundle.codec.source.vocabulary.size, bundle.codec.target.vocabulary.size)
    stay = kept(decoder.layers, layers)
    own = {name: parameter.detach() for name, parameter in bundle.model.named_parameters(remove_duplicate=False)}
    found = {name: own[_origin(name, stay)] for name in weights(model)}
    put_weights(model, found, Path(LAYERS))
    return replace(bundle, model=model.eval(), config=config)


def _origin(name: str, stay: tuple[int, ...]) -> str:
    """The name that a parameter had before layers were left out."""
    if not name.startswith(LAYERS):
        return name
    place, rest = name.removeprefix(LAYERS).split(".", 1)
    return f"{LAYERS}{stay[int(place)]}.{rest}"


def _cannot(expected: str, got: str) -> ConfigError:
    return ConfigError(
        "a model is shrunk to some of its decoder's layers",
        expected=expected,
        got=got,
        where="decoder.layers",
        fix="ask for fewer layers, or train a model of fresh weights",
    )
