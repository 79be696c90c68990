"""The wire format of LibreTranslate, for clients that speak it: /translate, /languages, /detect, /health."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from isthmus.core.errors import InputError
from isthmus.serve.keys import Keys
from isthmus.serve.languages import name_of
from isthmus.serve.requests import described, documented, fields_of, has_left
from isthmus.serve.schema import Strict, Text
from isthmus.serve.service import Service


class Translation(Strict):
    """What to translate."""

    q: Text | list[Text] = Field(description="A text, or several.")
    source: Text = Field(max_length=35, description="Its language, or `auto`.")
    target: Text = Field(max_length=35, description="The wanted language.")
    format: Literal["text"] = Field(default="text", description="Plain text; markup is not translated.")
    alternatives: int = Field(default=0, ge=0, le=15, description="How many other translations to give.")
    api_key: Text = ""


class Question(Strict):
    """Of what the language is asked."""

    q: Text
    api_key: Text = ""


class Detected(BaseModel):
    """A language, and how sure that is (in percent)."""

    confidence: float
    language: str


class Translated(BaseModel):
    """The translation of one text, or of several."""

    translatedText: str | list[str]
    detectedLanguage: Detected | list[Detected] | None = None
    alternatives: list[str] | list[list[str]] | None = None


class Language(BaseModel):
    """A language, and into which others it is translated."""

    code: str
    name: str
    targets: list[str]


class Failure(BaseModel):
    """An error."""

    error: str


class Health(BaseModel):
    """Whether it works."""

    status: Literal["ok"] = "ok"


class LibreTranslate:
    """The routes.

    Args:
        service: does the work.
        keys: who may use it.
    """

    def __init__(self, service: Service, keys: Keys) -> None:
        self._service, self._keys = service, keys

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["LibreTranslate"], responses=documented(self._keys, Failure, refused=403))
        unset: dict[str, Any] = {"response_model_exclude_none": True}
        router.add_api_route(
            "/translate",
            self.translate,
            methods=["POST"],
            openapi_extra=described(Translation),
            response_model=Translated,
            **unset,
        )
        router.add_api_route("/detect", self.detect, methods=["POST"], openapi_extra=described(Question))
        router.add_api_route("/languages", self.languages, methods=["GET"])
        router.add_api_route("/health", self.health, methods=["GET"])
        return router

    async def translate(self, request: Request) -> Translated:
        """Translate a text, or several of one language."""
        body = Translation.model_validate(await fields_of(request, numbers=("alternatives",)))
        self._keys.check(request, body.api_key, status=403)
        texts = [body.q] if isinstance(body.q, str) else body.q
        source = None if body.source == "auto" else body.source
        chosen = self._service.models.between("\n".join(texts), source, body.target)
        outputs = body.alternatives + 1
        values = (
            {"num_return_sequences": outputs, "num_beams": max(outputs, chosen.served.translator.options.num_beams)}
            if outputs > 1
            else {}
        )
        asked = self._service.asked(chosen, texts, values)
        answers = await self._service.answers(asked, has_left(request)) if texts else []
        one = isinstance(body.q, str)
        translated = [answer.text for answer in answers]
        others = [[other.text for other in answer.hypotheses[1:]] for answer in answers]
        found = Detected(confidence=round(100 * (chosen.probability or 0.0), 1), language=chosen.source_language)
        return Translated(
            translatedText=translated[0] if one else translated,
            detectedLanguage=None if source is not None else found if one else [found] * len(texts),
            alternatives=None if outputs == 1 else others[0] if one else others,
        )

    async def detect(self, request: Request) -> list[Detected]:
        """The languages that a text may be in, most probable first."""
        body = Question.model_validate(await fields_of(request))
        self._keys.check(request, body.api_key, status=403)
        if len(body.q) > self._service.limits.characters:
            raise InputError(
                "a text is too long", expected=f"at most {self._service.limits.characters:,} characters", where="q"
            )
        guesses = await self._service.run(lambda _: self._service.models.identifier.guesses(body.q), has_left(request))
        likely = [one for number, one in enumerate(guesses) if number == 0 or one.probability >= 0.1]
        return [Detected(confidence=round(100 * one.probability, 1), language=one.language) for one in likely]

    async def languages(self) -> list[Language]:
        """The languages, and into which others each is translated."""
        pairs: dict[str, list[str]] = {}
        for one in self._service.models.served:
            for code in one.sources:
                pairs.setdefault(code, []).extend(target for target in one.targets if target not in pairs.get(code, ()))
        alone = {target for targets in pairs.values() for target in targets} - pairs.keys()
        every = pairs | {code: [] for code in sorted(alone)}
        return [Language(code=code, name=name_of(code), targets=targets) for code, targets in every.items()]

    async def health(self) -> Health:
        """It answers."""
        return Health()
