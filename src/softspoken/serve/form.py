"""The fields of `POST /v1/audio/transcriptions`, as clients send them: lists with and without brackets."""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from starlette.datastructures import FormData, UploadFile

from softspoken.serve.problems import Problem, of_validation

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
_LISTS = {
    "timestamp_granularities",
    "include",
    "known_speaker_names",
    "known_speaker_references",
    "speakers",
    "keywords",
    "languages",
}
_INSIDE = re.compile(r"(\w+)\[(\w+)\]")


def _given(value: Any) -> Any:
    """An empty field counts as one that is not there."""
    return None if value == "" else value


class VoiceActivity(BaseModel):
    """`chunking_strategy` with numbers. Windows are cut at quiet places here, so that they are taken note of only."""

    type: Literal["server_vad"]
    prefix_padding_ms: int = Field(default=300, ge=0)
    silence_duration_ms: int = Field(default=200, ge=0)
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)


class TranscriptionFields(BaseModel):
    """All fields but the file."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(
        min_length=1,
        description="A name of /v1/models; a name that ends in -diarize tells talkers apart.",
        examples=["whisper-1", "gpt-4o-transcribe-diarize"],
    )
    language: Annotated[str | None, BeforeValidator(_given)] = Field(
        default=None, description="ISO 639-1, such as 'en'."
    )
    languages: list[str] = Field(default=[], description="The first one counts where `language` is not given.")
    prompt: str | None = Field(default=None, description="Taken note of only.")
    keywords: list[str] = Field(default=[], description="Taken note of only.")
    response_format: ResponseFormat = "json"
    temperature: float = Field(default=0.0, ge=0.0, le=1.0)
    timestamp_granularities: list[Literal["word", "segment"]] = Field(
        default=[], description="With verbose_json; `word` with diarized_json, too, which is ours."
    )
    include: list[Literal["logprobs"]] = []
    chunking_strategy: Literal["auto"] | VoiceActivity | None = None
    known_speaker_names: list[str] = Field(default=[], description="Without references: names of enrolled voices.")
    known_speaker_references: list[str] = Field(
        default=[], description="Data URLs with 2 to 10 s of each voice, or names of enrolled voices."
    )
    stream: bool = False
    speakers: list[str] = Field(
        default=[], description="Only the words of these: names of enrolled voices, or of known_speaker_names."
    )
    prompt_set: Annotated[str | None, BeforeValidator(_given)] = Field(
        default=None, description="Which of the server's prompts follows the voices."
    )

    @model_validator(mode="after")
    def _go_together(self) -> "TranscriptionFields":
        names, references = self.known_speaker_names, self.known_speaker_references
        if references and len(references) != len(names):
            raise ValueError(
                f"{len(names)} known_speaker_names and {len(references)} known_speaker_references; give one for each"
            )
        if len(set(names)) < len(names) or len(set(self.speakers)) < len(self.speakers):
            raise ValueError("a speaker is named twice; give each name once")
        if self.timestamp_granularities and self.response_format not in ("verbose_json", "diarized_json"):
            raise ValueError("timestamp_granularities need response_format verbose_json or diarized_json")
        if self.stream and self.response_format not in ("json", "text", "diarized_json"):
            raise ValueError(f"stream goes with json, text or diarized_json, not with {self.response_format}")
        return self

    @property
    def diarised(self) -> bool:
        """Whether all talkers are to be told apart."""
        named = self.model.endswith("-diarize") or bool(self.known_speaker_names)
        return not self.speakers and (named or self.response_format == "diarized_json")

    @property
    def ignored(self) -> list[str]:
        """Fields that were given and change nothing here."""
        hints = {"prompt": self.prompt, "keywords": self.keywords, "chunking_strategy": self.chunking_strategy}
        return [name for name, value in hints.items() if value]


class TranslationFields(TranscriptionFields):
    """Fields of a translation: no talkers are told apart."""

    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"

    @property
    def diarised(self) -> bool:
        return False


def fields_of(form: FormData, kind: type[TranscriptionFields] = TranscriptionFields) -> TranscriptionFields:
    """The form's texts, checked. Raises Problem (400), which names the field."""
    found: dict[str, Any] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            continue
        plain, inside = name.removesuffix("[]"), _INSIDE.fullmatch(name)
        if plain in _LISTS:
            found.setdefault(plain, []).append(value)
        elif inside is not None:
            outer = found.setdefault(inside[1], {})
            if isinstance(outer, dict):
                outer[inside[2]] = value
        else:
            found[plain] = value
    if isinstance(strategy := found.get("chunking_strategy"), str) and strategy.startswith("{"):
        found["chunking_strategy"] = _json(strategy)
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise of_validation(error.errors()) from None


def file_of(form: FormData, name: str = "file") -> UploadFile:
    """The recording. Raises Problem (400) where none came."""
    file = form.get(name)
    if not isinstance(file, UploadFile):
        raise Problem(400, f"{name}: no file in the form; send one, as curl does with -F {name}=@talk.wav", param=name)
    return file


def schema_of(fields: type[BaseModel], *files: str) -> dict[str, Any]:
    """For the OpenAPI document: a multipart body with these fields, and at least one of `files`."""
    properties: dict[str, Any] = {name: {"type": "string", "format": "binary"} for name in files}
    described = fields.model_json_schema(ref_template="{model}")
    described = _inlined(described, described.get("$defs", {}))
    for name, property_schema in described["properties"].items():
        properties[f"{name}[]" if name in _LISTS else name] = property_schema
    required = [*files[:1], *described.get("required", [])]
    body = {"type": "object", "properties": properties, "required": required}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": body}}}}


def _inlined(schema: Any, models: dict[str, Any]) -> Any:
    """A schema that refers to no other place."""
    if isinstance(schema, list):
        return [_inlined(one, models) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(models[schema["$ref"]], models)
    return {name: _inlined(value, models) for name, value in schema.items() if name != "$defs"}


def read_json(text: str | bytes) -> Any:
    """What a client sends as JSON. ValueError for none, and for what could not be answered with: numbers that are none,
    halves of characters, hundreds of levels."""
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("too many levels") from None
    return found


def _json(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError:
        return text
