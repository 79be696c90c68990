"""The wire formats of LibreTranslate and DeepL, as their clients speak them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from isthmus.serve.identify import Identifier
from isthmus.serve.keys import Keys
from isthmus.serve.languages import name_of
from tests.unit.serve.running import running, tiny

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")

KEY = "0123456789abcdef-key"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running(tiny(), tiny({"source_language": "fr", "target_language": "en"})) as found:
        yield found


def translated(*texts: str) -> list[str]:
    return [tiny().answers([text])[0].text for text in texts]


def test_libretranslate_translates_a_text_or_several(client: httpx.Client) -> None:
    asked = {"source": "en", "target": "fr"}
    (one,) = translated("abc")
    assert client.post("/translate", json={"q": "abc", **asked}).json() == {"translatedText": one}
    several = client.post("/translate", json={"q": ["abc", "gg hh"], **asked}).json()
    assert several == {"translatedText": translated("abc", "gg hh")}
    assert client.post("/translate", json={"q": ["abc"], **asked}).json() == {"translatedText": [one]}
    form = client.post("/translate", data={"q": "abc", "format": "text", "alternatives": "2", **asked}).json()
    assert (form["translatedText"], len(form["alternatives"])) == (one, 2)


def test_libretranslate_finds_out_the_language(client: httpx.Client) -> None:
    text = "This is a cage, I had a bed."
    found = client.post("/translate", json={"q": text, "source": "auto", "target": "fr"}).json()
    assert found["translatedText"] == translated(text)[0]
    assert found["detectedLanguage"]["language"] == "en"
    assert found["detectedLanguage"]["confidence"] > 50
    both = client.post("/translate", json={"q": [text, text], "source": "auto", "target": "fr"}).json()
    assert both["detectedLanguage"] == [found["detectedLanguage"]] * 2
    guesses = client.post("/detect", data={"q": "Je ne sais pas où est la bibliothèque."}).json()
    assert guesses[0]["language"] == "fr"
    assert 50 < guesses[0]["confidence"] <= 100


def test_libretranslate_lists_languages(client: httpx.Client) -> None:
    assert client.get("/languages").json() == [
        {"code": "en", "name": "English", "targets": ["fr"]},
        {"code": "fr", "name": "French", "targets": ["en"]},
    ]
    assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"q": "abc", "source": "de", "target": "fr"}, 422, "no model translates between these languages"),
        ({"q": "abc", "source": "en", "target": "en"}, 422, "en-fr, fr-en"),
        ({"q": "abc", "source": "en", "target": "fr", "format": "html"}, 422, "format"),
        ({"source": "en", "target": "fr"}, 422, "q"),
        ({"q": "a" * 5001, "source": "en", "target": "fr"}, 422, "5,000"),
    ],
)
def test_libretranslate_says_errors_in_its_shape(
    client: httpx.Client, body: dict[str, Any], status: int, said: str
) -> None:
    response = client.post("/translate", json=body)
    assert response.status_code == status
    assert said in response.json()["error"]


def test_deepl_translates(client: httpx.Client) -> None:
    body = {"text": ["abc", "gg hh"], "source_lang": "EN", "target_lang": "FR", "formality": "default"}
    expected = [{"detected_source_language": "EN", "text": text} for text in translated("abc", "gg hh")]
    assert client.post("/v2/translate", json=body).json() == {"translations": expected}
    form = client.post(
        "/v2/translate",
        content=b"text=abc&text=gg+hh&target_lang=fr-CA&source_lang=EN",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert form.json() == {"translations": expected}
    one = client.post("/v2/translate", data={"text": "This is a cage, I had a bed.", "target_lang": "FR"}).json()
    assert one["translations"][0]["detected_source_language"] == "EN"


def test_deepl_lists_languages_and_usage(client: httpx.Client) -> None:
    before = client.get("/v2/usage").json()["character_count"]
    client.post("/v2/translate", json={"text": ["abc"], "source_lang": "EN", "target_lang": "FR"})
    usage = client.get("/v2/usage").json()
    assert usage["character_count"] == before + 3
    assert usage["character_limit"] > 10**9
    sources = client.get("/v2/languages").json()
    assert sources == [{"language": "EN", "name": "English"}, {"language": "FR", "name": "French"}]
    targets = client.get("/v2/languages", params={"type": "target"}).json()
    assert targets[0] == {"language": "FR", "name": "French", "supports_formality": False}
    assert client.get("/v2/languages", params={"type": "both"}).status_code == 422


def test_deepl_says_errors_in_its_shape(client: httpx.Client) -> None:
    wrong = client.post("/v2/translate", json={"text": ["abc"], "target_lang": "JA"})
    assert (wrong.status_code, "no model translates" in wrong.json()["message"]) == (422, True)
    text = client.post("/v2/translate", content=b"abc", headers={"Content-Type": "text/plain"})
    assert (text.status_code, "a body is JSON or a form" in text.json()["message"]) == (415, True)
    mixed = {"text": ["This is a cage, I had a bed.", "Je ne sais pas où elle est."], "target_lang": "ES"}
    assert client.post("/v2/translate", json=mixed).status_code == 422


def test_adapters_take_keys_as_their_clients_send_them() -> None:
    with running(keys=Keys([KEY])) as client:
        libre = {"q": "abc", "source": "en", "target": "fr"}
        deepl = {"text": ["abc"], "source_lang": "EN", "target_lang": "FR"}
        assert client.post("/translate", json=libre).status_code == 403
        assert client.post("/translate", json=libre | {"api_key": "x" * 20}).status_code == 403
        assert client.post("/translate", json=libre | {"api_key": KEY}).status_code == 200
        assert client.post("/translate", data=libre | {"api_key": KEY}).status_code == 200
        assert client.post("/detect", json={"q": "abc"}).status_code == 403
        assert client.post("/v2/translate", json=deepl).status_code == 403
        headers = {"Authorization": f"DeepL-Auth-Key {KEY}"}
        assert client.post("/v2/translate", json=deepl, headers=headers).status_code == 200
        assert client.get("/v2/usage").status_code == 403
        assert "another" in client.get("/v2/usage").json()["message"]


def test_the_identifier_knows_languages_of_several_scripts() -> None:
    identifier = Identifier()
    for text, language in (
        ("Ich weiß es nicht, aber sie kommt.", "de"),
        ("Я не знаю, где он.", "ru"),
        ("我不知道他在哪里。", "zh"),
    ):
        guesses = identifier.guesses(text)
        assert guesses[0].language == language
        assert sum(one.probability for one in guesses) == pytest.approx(1.0)
    among = identifier.guesses("Ich weiß es nicht, aber sie kommt.", {"fr", "en"})
    assert {one.language for one in among} == {"fr", "en"}


def test_names_of_languages() -> None:
    assert [name_of(tag) for tag in ("en", "pt-BR", "tlh")] == ["English", "Portuguese (pt-BR)", "tlh"]
