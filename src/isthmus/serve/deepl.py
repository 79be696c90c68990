"""The wire format of DeepL's interface, version 2, for clients that speak it: /v2/translate, /v2/languages, /v2/usage."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from isthmus.core.errors import InputError
from isthmus.serve.keys import Keys
from isthmus.serve.languages import name_of
from isthmus.serve.requests import described, documented, fields_of, has_left
from isthmus.serve.schema import Text
from isthmus.serve.service import Service

MOST_CHARACTERS = 10**12
"""What /v2/usage says may be translated: there is no limit, and clients want a number."""


class Translation(BaseModel):
    """What to translate. Fields of DeepL's that do not matter here (formality, context, ...) are accepted and not read."""

    model_config = ConfigDict(frozen=True, strict=True)

    text: list[Text] = Field(min_length=1, description="The texts.")
    target_lang: Text = Field(max_length=35, description="The wanted language.")
    source_lang: Text | None = Field(default=None, max_length=35, description="Their language; found out by default.")
    tag_handling: None = Field(default=None, description="Markup is not translated.")


class TranslatedText(BaseModel):
    """One translation."""

    detected_source_language: str
    text: str


class Translations(BaseModel):
    """The translations, in the order of the texts."""

    translations: list[TranslatedText]


class Language(BaseModel):
    """A language."""

    language: str
    name: str
    supports_formality: bool | None = None


class Usage(BaseModel):
    """What was translated since the server began."""

    character_count: int
    character_limit: int = MOST_CHARACTERS


class Failure(BaseModel):
    """An error."""

    message: str


class DeepL:
    """The routes.

    Args:
        service: does the work.
        keys: who may use it.
    """

    def __init__(self, service: Service, keys: Keys) -> None:
        self._service, self._keys = service, keys
        self._characters = 0

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/v2", tags=["DeepL"], responses=documented(self._keys, Failure, refused=403))
        router.add_api_route("/translate", self.translate, methods=["POST"], openapi_extra=described(Translation))
        router.add_api_route("/languages", self.languages, methods=["GET"], response_model_exclude_none=True)
        router.add_api_route("/usage", self.usage, methods=["GET"])
        return router

    async def translate(self, request: Request) -> Translations:
        """Translate texts."""
        self._keys.check(request, status=403)
        body = Translation.model_validate(await fields_of(request, lists=("text",)))
        source = None if body.source_lang is None else body.source_lang
        chosen = [self._service.models.between(text, source, body.target_lang) for text in body.text]
        models = {one.served.name for one in chosen}
        if len(models) > 1:
            raise InputError(
                "texts of one request are in languages that one model reads",
                expected="texts of one language",
                got=f"texts for {', '.join(sorted(models))}",
                where="text",
                fix="send one request a language, or name `source_lang`",
            )
        answers = await self._service.answers(self._service.asked(chosen[0], body.text, {}), has_left(request))
        self._characters += sum(map(len, body.text))
        return Translations(
            translations=[
                TranslatedText(detected_source_language=(one.source_language or source or "").upper(), text=answer.text)
                for one, answer in zip(chosen, answers, strict=True)
            ]
        )

    async def languages(self, request: Request, type: Literal["source", "target"] = "source") -> list[Language]:
        """The languages that are read, or those that are written."""
        self._keys.check(request, status=403)
        served = self._service.models.served
        own = [code for one in served for code in (one.targets if type == "target" else one.sources)]
        formality = False if type == "target" else None
        return [
            Language(language=code.upper(), name=name_of(code), supports_formality=formality)
            for code in dict.fromkeys(own)
        ]

    async def usage(self, request: Request) -> Usage:
        """What was translated since the server began."""
        self._keys.check(request, status=403)
        return Usage(character_count=self._characters)
