"""What clients send to the native interface, and what they get; the description of the interface is made from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


def _writable(text: str) -> str:
    """The text, if it can be written as UTF-8.

    Raises:
        ValueError: it holds half of a surrogate pair.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a text must be Unicode without halves of surrogate pairs") from None
    return text


Text = Annotated[str, AfterValidator(_writable)]
Name = Annotated[str, StringConstraints(max_length=200), AfterValidator(_writable)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_writable)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class Strict(BaseModel):
    """A body of a request: unknown fields are errors, types are never coerced."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Options(Strict):
    """How to generate; what is not given is as the model has it. The names are those of `GenerationOptions`."""

    num_beams: int | None = Field(default=None, ge=1, le=1000, description="Beams of the search; 1 is greedy.")
    num_return_sequences: int | None = Field(default=None, ge=1, le=1000, description="How many outputs.")
    length_penalty: float | None = Field(default=None, ge=-10, le=10, description="Above 0 favours long outputs.")
    early_stopping: bool | Literal["never"] | None = Field(default=None, description="When a beam search is done.")
    num_beam_groups: int | None = Field(
        default=None, ge=1, le=1000, description="Groups that keep away from each other."
    )
    diversity_penalty: float | None = Field(default=None, ge=0, le=100, description="How much they do.")
    coverage_penalty: float | None = Field(default=None, ge=0, le=100, description="Favours what has read all of it.")
    do_sample: bool | None = Field(default=None, description="Draw from the model's probabilities.")
    temperature: float | None = Field(
        default=None, ge=0.01, le=100, description="Under 1 cautious, above 1 surprising."
    )
    top_k: Count | None = Field(default=None, description="Sample among the k most probable pieces; 0 is all.")
    top_p: float | None = Field(default=None, gt=0, le=1, description="Sample among those that make up p.")
    min_p: float | None = Field(default=None, ge=0, le=1, description="Among those of p times the best one's.")
    typical_p: float | None = Field(default=None, gt=0, le=1, description="Among those as surprising as expected.")
    without_replacement: bool | None = Field(default=None, description="No two outputs are the same.")
    seed: int | None = Field(default=None, ge=0, lt=2**63, description="The same seed draws the same.")
    diversity: float | None = Field(default=None, ge=0, le=1, description="A dial that sets the above.")
    max_length: int | None = Field(default=None, ge=1, le=100_000, description="The most pieces of an output.")
    min_length: int | None = Field(default=None, ge=0, le=100_000, description="The fewest pieces of an output.")
    repetition_penalty: float | None = Field(default=None, ge=0.01, le=100, description="Above 1 repeats less.")
    no_repeat_ngram_size: int | None = Field(default=None, ge=0, le=1000, description="No n-gram twice.")
    prefix: Annotated[Text, StringConstraints(max_length=5000)] | None = Field(
        default=None, description="How the output begins."
    )
    force_words: list[Word] | None = Field(default=None, max_length=16, description="Words that must come.")
    bad_words: list[Word] | None = Field(default=None, max_length=64, description="Words that must not come.")
    split_sentences: bool | Literal["auto"] | None = Field(default=None, description="Sentence by sentence.")
    guards: bool | None = Field(default=None, description="Decode again what looks wrong.")


class Asked(Strict):
    """What all requests have."""

    model: Name | None = Field(
        default=None, description="The name of a model; by default chosen by the languages, or the first."
    )
    source_language: Name | None = Field(default=None, description="BCP 47.")
    target_language: Name | None = Field(default=None, description="BCP 47.")
    options: Options = Options()


class GenerateRequest(Asked):
    """Texts to generate from."""

    texts: list[Text] = Field(min_length=1, description="The inputs.")
    alignment: bool = Field(default=False, description="Also say which word each word comes from.")
    alternatives: int = Field(
        default=0, ge=0, le=20, description="For each piece, so many others that could have come."
    )


class StreamRequest(Asked):
    """A text whose output comes piece by piece."""

    text: Text = Field(description="The input.")


class AttentionRequest(Asked):
    """A text and an output, to see where the decoder looks."""

    text: Text = Field(description="The input: one sentence.")
    output: Text = Field(description="The output: of the model, or any other.")


class Place(BaseModel):
    """A word and its place, in characters."""

    text: str
    start: int
    end: int


class Pair(BaseModel):
    """A word of the output, and the word of the input that was looked at most for it."""

    source: Place
    target: Place
    weight: float


class Runner(BaseModel):
    """A piece that could have come, and what it would have added to the output."""

    piece: str
    text: str
    score: float | None


class Piece(BaseModel):
    """A piece of the output, with its place in it, and what else could have come there."""

    piece: str
    start: int
    end: int
    score: float | None
    alternatives: list[Runner] = []


class Part(BaseModel):
    """The stretch of the output that comes from one stretch of the input, generated by itself."""

    source_start: int
    source_end: int
    start: int
    end: int
    stop: str
    pieces: list[Piece]


class Output(BaseModel):
    """One output."""

    text: str
    score: float | None = Field(description="The log-probability of the output.")
    normalised: float | None = Field(description="What outputs are ranked by.")
    stop: str = Field(description="`end`, or why it is not whole.")
    alignment: list[Pair] = []
    parts: list[Part] = []


class AnswerBody(BaseModel):
    """What came of one text."""

    outputs: list[Output]
    warnings: list[str]
    seed: int | None


class GenerateResponse(BaseModel):
    """What came of all texts, in their order."""

    model: str
    source_language: str
    target_language: str
    answers: list[AnswerBody]


class AttentionResponse(BaseModel):
    """Where each head of each layer of the decoder looked."""

    model: str
    source: list[str] = Field(description="The pieces of the input, with what is put around them.")
    target: list[str] = Field(description="The pieces of the output, with its end.")
    weights: list[list[list[list[float]]]] = Field(description="Layer, head, piece of the output, piece of the input.")


class ModelBody(BaseModel):
    """A model."""

    name: str
    sources: list[str]
    targets: list[str]
    attention: bool = Field(description="Whether the attention of its layers can be looked at.")
    defaults: dict[str, Any] = Field(description="Options as the model has them.")


class LimitsBody(BaseModel):
    """What a client may ask for."""

    characters: int
    texts: int
    beams: int
    seconds: float


class ModelsResponse(BaseModel):
    """All models, and what may be asked of them."""

    models: list[ModelBody]
    limits: LimitsBody


class ErrorDetail(BaseModel):
    """What went wrong."""

    rule: str
    expected: str = ""
    got: str = ""
    where: str = ""
    fix: str = ""


class ErrorBody(BaseModel):
    """An error."""

    error: ErrorDetail
