"""Our tokenizers as pipelines of the `tokenizers` library, which give the same ids.

A space is written as a space here, not as `▁`: then a real `▁` in a text is one more character without a piece. The names of
control pieces and bytes stand in the vocabulary, where the library would find them in a user's text; each kind keeps them out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec
from isthmus.text.characters import CharacterTokenizer
from isthmus.text.library import LibraryTokenizer
from isthmus.text.sentencepiece_tokenizer import SentencePieceTokenizer
from isthmus.text.symbols import SymbolTokenizer
from isthmus.text.vocabulary import EOS, UNK, Vocabulary

_SPACE = "▁"
_WHITE = r"[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
"""What Python's `str.split` splits on, for the library's regular expressions."""


def pipeline(codec: Codec, target_language: str = "") -> tokenizers.Tokenizer:
    """The tokenizer of a codec, which puts around a source what the codec puts around it.

    Args:
        codec: of one joint vocabulary.
        target_language: whose tag a source begins with, if the codec puts one there.

    Raises:
        InputError: the library has no way to give the same ids; the error says why.
    """
    if not codec.joint:
        raise _refused("it knows one vocabulary", "a vocabulary for each side", "train with tokenizer.joint = true")
    match codec.source:
        case SentencePieceTokenizer() as tokenizer if tokenizer.config.model == "unigram":
            made = _unigram(tokenizer)
        case SentencePieceTokenizer() as tokenizer:
            made = _merges(tokenizer)
        case CharacterTokenizer() as tokenizer:
            made = _characters(tokenizer)
        case SymbolTokenizer() as tokenizer:
            made = _symbols(tokenizer)
        case LibraryTokenizer() as tokenizer:
            made = tokenizers.Tokenizer.from_str(tokenizer.pipeline)
        case other:
            raise _refused(
                "it has no kind for pieces with names",
                other.config.kind,
                "import it again from a folder with tokenizer.json",
            )
    vocabulary = codec.source.vocabulary
    special = [vocabulary.piece(id) for id in sorted({*vocabulary.control, vocabulary.eos})]
    special = [name for name in special if made.token_to_id(name) is not None]
    made.add_special_tokens([tokenizers.AddedToken(name, special=True, normalized=False) for name in special])
    made.post_processor = _around(codec, target_language)
    made.encode_special_tokens = True
    return made


def _unigram(tokenizer: SentencePieceTokenizer) -> tokenizers.Tokenizer:
    """The best of all segmentations; user pieces, and the halves of the names that must not be found, are segments of their own."""
    vocabulary, scores = tokenizer.vocabulary, tokenizer.scores()
    pieces = [(_spaced(piece), scores.get(piece, 0.0)) for piece in vocabulary.pieces]
    made = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=UNK, byte_fallback=tokenizer.lossless))
    made.normalizer = normalizers.Prepend(" ")
    splits = [pre_tokenizers.Split(tokenizers.Regex(_cut(tokenizer, scores)), "merged_with_previous")]
    if vocabulary.user_pieces:
        splits.append(pre_tokenizers.Split(tokenizers.Regex(_any(vocabulary.user_pieces)), "isolated"))
    made.pre_tokenizer = pre_tokenizers.Sequence(splits)
    made.decoder = _unspaced()
    return made


def _merges(tokenizer: SentencePieceTokenizer) -> tokenizers.Tokenizer:
    """Byte-pair merges: SentencePiece merges any two neighbours that make a piece, in the order of the pieces' scores."""
    vocabulary, scores = tokenizer.vocabulary, tokenizer.scores()
    if vocabulary.user_pieces:
        raise _refused(
            "it cannot keep pieces of one's own whole where spaces belong to pieces",
            "BPE with user_pieces",
            'train with model = "unigram"',
        )
    merges = [
        (_spaced(piece[:place]), _spaced(piece[place:]))
        for piece in sorted(scores, key=lambda piece: -scores[piece])
        for place in range(1, len(piece))
        if piece[:place] in scores and piece[place:] in scores
    ]
    model = models.BPE(
        _ids(vocabulary), merges, unk_token=vocabulary.piece(UNK), fuse_unk=True, byte_fallback=tokenizer.lossless
    )
    made = tokenizers.Tokenizer(model)
    made.normalizer = normalizers.Prepend(" ")
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    made.decoder = _unspaced()
    return made


def _characters(tokenizer: CharacterTokenizer) -> tokenizers.Tokenizer:
    """No merges: each character is a piece, or unknown by itself."""
    vocabulary = tokenizer.vocabulary
    model = models.BPE(_ids(vocabulary), [], unk_token=vocabulary.piece(UNK), fuse_unk=False)
    made = tokenizers.Tokenizer(model)
    made.add_tokens([tokenizers.AddedToken(piece, normalized=False) for piece in vocabulary.user_pieces])
    made.decoder = decoders.Fuse()
    return made


def _symbols(tokenizer: SymbolTokenizer) -> tokenizers.Tokenizer:
    """Words between white space; one that is spelled like a control piece is doubled, so that it is unknown as all others."""
    vocabulary = tokenizer.vocabulary
    names = [vocabulary.piece(id) for id in sorted({*vocabulary.control, EOS})]
    double = next(f"{name}{name}" for name in names if all(f"{one}{one}" not in vocabulary for one in names))
    made = tokenizers.Tokenizer(models.WordLevel(_ids(vocabulary), unk_token=vocabulary.piece(UNK)))
    inside = f"(?<![^{_WHITE}]){_any(names)}(?![^{_WHITE}])"
    made.normalizer = normalizers.Replace(tokenizers.Regex(inside), double)
    made.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(f"[{_WHITE}]+"), "removed")
    return made


def _ids(vocabulary: Vocabulary) -> dict[str, int]:
    return {_spaced(piece): id for id, piece in enumerate(vocabulary.pieces)}


def _spaced(piece: str) -> str:
    return piece.replace(_SPACE, " ")


def _unspaced() -> decoders.Decoder:
    """Bytes to characters, all joined, without the space that every text was begun with."""
    return decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def _any(names: Iterable[str]) -> str:
    """A regular expression for any of these, the longest first."""
    return f"(?:{'|'.join(_literal(name) for name in sorted(names, key=len, reverse=True))})"


def _literal(text: str) -> str:
    return re.sub(r"[^\w\s<>/]", lambda one: f"\\{one[0]}", text)


def _cut(tokenizer: SentencePieceTokenizer, scores: Iterable[str]) -> str:
    """Matches the first half of each name that a text must not be found to have, where the second half follows.

    The halves meet between two characters that no piece has in a row, so that cutting there changes nothing else; nor are both
    unknown, for unknown characters in a row are one piece.
    """
    vocabulary = tokenizer.vocabulary
    own = {_spaced(piece) for piece in scores}
    together = {one + other for piece in (*own, *vocabulary.user_pieces) for one, other in pairwise(piece)}
    hidden = {*map(_spaced, vocabulary.pieces)} - own - {*vocabulary.user_pieces}
    halves = []
    for name in sorted(hidden):
        between = (n for n in range(1, len(name)) if name[n - 1 : n + 1] not in together)
        place = next((n for n in between if tokenizer.lossless or own & {name[n - 1], name[n]}), None)
        if place is None:
            raise _refused("a text may be spelled like a control piece", f"nowhere to cut {name}", "use BPE")
        halves.append(f"{_literal(name[:place])}(?={_literal(name[place:])})")
    return "|".join(halves)


def _around(codec: Codec, target_language: str) -> processors.PostProcessor:
    """What the codec puts before and behind a source; a second text of a call is the source, the first its context."""
    vocabulary, config = codec.source.vocabulary, codec.config
    before = [vocabulary.piece(id) for id in config.frame.before]
    if config.language_tag:
        if target_language not in vocabulary.languages:
            raise _refused(
                "every source begins with the tag of the target language, which has to be named",
                f"target language {target_language!r}; the vocabulary has {', '.join(vocabulary.languages)}",
                "pass --target-language",
            )
        before.append(vocabulary.piece(vocabulary.language(target_language)))
    after = [vocabulary.piece(id) for id in config.frame.after]
    between = [vocabulary.piece(vocabulary.sep)] if vocabulary.sep >= 0 else []
    names = dict.fromkeys([*before, *after, *between])
    return processors.TemplateProcessing(
        single=[*before, "$A", *after],
        pair=[*before, "$A:0", *(f"{name}:0" for name in between), "$B:0", *(f"{name}:0" for name in after)],
        special_tokens=[(name, vocabulary.id(name)) for name in names],
    )


def _refused(rule: str, got: str, fix: str) -> InputError:
    return InputError(
        f"the tokenizer cannot be written for Hugging Face: {rule}",
        expected="a tokenizer that gives the same ids there",
        got=got,
        where="tokenizer",
        fix=fix,
    )
