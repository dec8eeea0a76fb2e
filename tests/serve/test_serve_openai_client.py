"""The official client, unchanged, against a server on 127.0.0.1: each answer is parsed by the client's own types."""

import io
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from fake_backend import FakeBackend
from openai import OpenAI
from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)
from served import ADA_HZ, BEN_HZ, Live, data_url, listening, wav
from voices import voice

from softspoken.serve.config import ServerConfig

DEPRECATED = ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize"]
ALL = "word0 word1 word2 word3 word4"


@pytest.fixture
def openai_client(live: Live) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def talk_file(talk: bytes) -> tuple[str, io.BytesIO]:
    return "talk.wav", io.BytesIO(talk)


@pytest.mark.parametrize("model", DEPRECATED)
@pytest.mark.parametrize(
    ("response_format", "kind"),
    [
        ("json", Transcription),
        ("verbose_json", TranscriptionVerbose),
        ("diarized_json", TranscriptionDiarized),
        ("text", str),
        ("srt", str),
        ("vtt", str),
    ],
)
def test_every_format_of_every_model(
    openai_client: OpenAI, talk: bytes, model: str, response_format: Any, kind: type
) -> None:
    answer: Any = openai_client.audio.transcriptions.create(
        file=talk_file(talk), model=model, response_format=response_format, language="en", temperature=0.2
    )
    assert isinstance(answer, kind)
    assert "word4" in (answer if isinstance(answer, str) else answer.text)
    if not isinstance(answer, str):
        # Strict: the client itself would let wrong types pass.
        kind.model_validate(answer.model_dump(), strict=True)


def test_times_of_words_and_segments(openai_client: OpenAI, talk: bytes) -> None:
    answer = openai_client.audio.transcriptions.create(
        file=talk_file(talk),
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert answer.words is not None
    assert answer.segments is not None
    assert (answer.words[1].word, answer.words[1].start) == ("word1", 1.1)
    assert (answer.language, answer.duration, answer.segments[1].seek) == ("english", 5.0, 100)


def test_known_speakers(openai_client: OpenAI, talk: bytes) -> None:
    answer = openai_client.audio.transcriptions.create(
        file=talk_file(talk),
        model="gpt-4o-transcribe-diarize",
        response_format="diarized_json",
        chunking_strategy={"type": "server_vad", "threshold": 0.4},
        known_speaker_names=["ada", "ben"],
        known_speaker_references=[data_url(wav(voice(4.0, hz))) for hz in (ADA_HZ, BEN_HZ)],
    )
    assert [segment.speaker for segment in answer.segments] == ["ada", "ada", "ben", "ben", "ada"]


@pytest.mark.parametrize("response_format", ["json", "diarized_json"])
def test_streams(openai_client: OpenAI, talk: bytes, response_format: Any) -> None:
    events = list(
        openai_client.audio.transcriptions.create(
            file=talk_file(talk),
            model="gpt-4o-transcribe-diarize",
            response_format=response_format,
            chunking_strategy="auto",
            stream=True,
        )
    )
    deltas = [event for event in events if isinstance(event, TranscriptionTextDeltaEvent)]
    segments = [event for event in events if isinstance(event, TranscriptionTextSegmentEvent)]
    assert "".join(event.delta for event in deltas) == ALL
    assert len(segments) == (5 if response_format == "diarized_json" else 0)
    assert isinstance(events[-1], TranscriptionTextDoneEvent)
    assert events[-1].text == ALL


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_translations(openai_client: OpenAI, talk: bytes) -> None:
    plain = openai_client.audio.translations.create(file=talk_file(talk), model="whisper-1")
    assert isinstance(plain, Translation)
    verbose = openai_client.audio.translations.create(
        file=talk_file(talk), model="whisper-1", response_format="verbose_json"
    )
    assert isinstance(verbose, TranslationVerbose)
    assert verbose.segments is not None


def test_models(openai_client: OpenAI) -> None:
    assert set(DEPRECATED) <= {model.id for model in openai_client.models.list()}
    assert openai_client.models.retrieve("whisper-1").object == "model"


def test_only_one_enrolled_voice(openai_client: OpenAI, live: Live, talk: bytes) -> None:
    made = openai_client.post(
        "/voices",
        body={"name": "ada"},
        files={"file": ("ada.wav", wav(voice(4.0, ADA_HZ)))},
        options={"headers": {"Content-Type": "multipart/form-data"}},
        cast_to=object,
    )
    assert made["name"] == "ada"  # type: ignore[index]
    answer = openai_client.audio.transcriptions.create(
        file=talk_file(talk), model="whisper-1", extra_body={"speakers": ["ada"]}
    )
    assert answer.text == "word0 word1 word4"


def test_errors_are_of_the_clients_own_kinds(openai_client: OpenAI, talk: bytes) -> None:
    create = openai_client.audio.transcriptions.create
    with pytest.raises(openai.NotFoundError, match="this server has"):
        create(file=talk_file(talk), model="gpt-9")
    with pytest.raises(openai.BadRequestError) as refused:
        create(file=talk_file(b"no audio"), model="whisper-1")
    assert refused.value.type == "invalid_request_error"
    with pytest.raises(openai.APIError, match="its log says what"):
        list(create(file=talk_file(talk), model="whisper-1", language="de", stream=True))


def test_a_busy_server_is_asked_again(talk: bytes, config: ServerConfig) -> None:
    """The client waits as `Retry-After` says, and then gets its answer."""
    with listening(FakeBackend(), config) as live, OpenAI(base_url=f"{live.url}/v1", api_key="none") as client:
        live.service.admission._requests = 64
        refuse, refused = live.service.admission._refuse, []

        def once(why: str) -> None:
            refused.append(why)
            live.service.admission._requests = 0
            refuse(why)

        live.service.admission._refuse = once  # type: ignore[method-assign, assignment]
        assert client.audio.transcriptions.create(file=talk_file(talk), model="whisper-1").text == ALL
    assert len(refused) == 1
