"""The models of a server, and which one a request means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.core.errors import InputError
from isthmus.generate.translator import Translator
from isthmus.serve.identify import Identifier


@dataclass(frozen=True, slots=True)
class Served:
    """A model that is served.

    Attributes:
        name: what requests call it.
        translator: the model.
    """

    name: str
    translator: Translator

    @property
    def sources(self) -> tuple[str, ...]:
        """The languages that it reads, as far as it says."""
        language = self.translator.task.source_language
        return (language,) if language else ()

    @property
    def targets(self) -> tuple[str, ...]:
        """The languages that it writes: its own, or those that it has a tag for."""
        codec = self.translator.codec
        language = self.translator.task.target_language
        tagged = codec.source.vocabulary.languages if codec.config.language_tag else ()
        return tagged or ((language,) if language else ())

    def reads(self, language: str) -> bool:
        """Whether it reads a language, or a variety of it."""
        return not self.sources or any(base(one) == base(language) for one in self.sources)

    def writes(self, language: str) -> str | None:
        """Its own tag of a language that it writes, or of the same language if it has not that variety; else None."""
        exact = [one for one in self.targets if one.lower() == language.lower()]
        near = [one for one in self.targets if base(one) == base(language)]
        return next(iter([*exact, *near]), None)

    def chosen(self, source: str | None, target: str | None) -> Chosen:
        """This model for a request that names it.

        Args:
            source: the language of the input, if the request says it.
            target: the wanted language, likewise.

        Raises:
            InputError: it does not read or write them, or it writes several and none is named.
        """
        own = None if target is None else self.writes(target)
        if (target and self.targets and own is None) or (source and not self.reads(source)):
            raise InputError(
                "this model is for other languages",
                expected=f"{' or '.join(self.sources) or 'any'} to {' or '.join(self.targets)}",
                got=f"{(source or 'any')[:35]} to {(target or 'any')[:35]}",
                where="languages",
                fix="ask for these, or for another model",
            )
        if target is None and len(self.targets) > 1:
            raise InputError(
                "this model writes several languages",
                expected=f"one of {', '.join(self.targets)}",
                got="none",
                where="target_language",
                fix="name the wanted one",
            )
        language = next((one for one in self.sources if source and base(one) == base(source)), source or "")
        return Chosen(self, language, own or "")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The model for a request.

    Attributes:
        served: the model.
        source_language: of the input, in the model's tag, or empty.
        target_language: of the output, likewise.
        probability: how sure it is that the input is in this language, where that had to be found out.
    """

    served: Served
    source_language: str = ""
    target_language: str = ""
    probability: float | None = None


class Models:
    """The models of a server.

    Args:
        served: at least one; the first is taken where a request names none.

    Raises:
        InputError: two have one name.
    """

    def __init__(self, served: Sequence[Served]) -> None:
        names = [one.name for one in served]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not served:
            raise InputError(
                "each model of a server has a name of its own",
                expected="at least one model, in folders of different names"
                if not twice
                else "folders of different names",
                got=", ".join(twice) or "none",
                fix="name them: NAME=FOLDER",
            )
        self.served = tuple(served)
        self.identifier = Identifier()

    def named(self, name: str | None) -> Served:
        """The model of a name, or the first one.

        Raises:
            InputError: there is none of that name.
        """
        if name is None:
            return self.served[0]
        for one in self.served:
            if one.name == name:
                return one
        raise InputError(
            "there is no such model",
            expected=", ".join(one.name for one in self.served),
            got=name[:100],
            where="model",
            fix="name one of them, or leave `model` out",
        )

    def between(self, text: str, source: str | None, target: str) -> Chosen:
        """The model that translates between two languages.

        Args:
            text: what is to be translated, to find out its language.
            source: its language; None to find it out.
            target: the wanted language.

        Raises:
            InputError: no model translates between them.
        """
        able = [one for one in self.served if one.writes(target) is not None]
        probability = None
        if source is None:
            known = {base(language): language for one in able for language in one.sources}
            guesses = self.identifier.guesses(text, known.keys()) if known else []
            if guesses:
                source, probability = known[guesses[0].language], guesses[0].probability
        for one in able:
            if source is None or one.reads(source):
                own = next((language for language in one.sources if source and base(language) == base(source)), "")
                return Chosen(one, own or (source or ""), one.writes(target) or "", probability)
        pairs = [f"{a}-{b}" for one in self.served for a in (one.sources or ("any",)) for b in one.targets]
        raise InputError(
            "no model translates between these languages",
            expected=", ".join(pairs) or "nothing: the models of this server say nothing of their languages",
            got=f"{(source or 'auto')[:35]}-{target[:35]}",
            where="languages",
            fix="ask for one of these pairs",
        )


def base(language: str) -> str:
    """The language of a tag without its variety: `pt` of `pt-BR`."""
    return language.replace("_", "-").split("-")[0].lower()
