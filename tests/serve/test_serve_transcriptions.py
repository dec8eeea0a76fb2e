"""`POST /v1/audio/transcriptions`: every format's exact shape, voices by name, refusals."""

import json
from typing import Any

import pytest
from fake_backend import FakeBackend
from served import ADA_HZ, BEN_HZ, CLEO_HZ, data_url, wav
from starlette.testclient import TestClient
from voices import voice

URL = "/v1/audio/transcriptions"
ALL = "word0 word1 word2 word3 word4"


def ask(client: TestClient, content: bytes, **fields: Any) -> Any:
    fields = {"model": "whisper-1", **{name.replace("__", "[]"): value for name, value in fields.items()}}
    return client.post(URL, data=fields, files={"file": ("talk.wav", content, "audio/wav")})


def events_of(text: str) -> list[Any]:
    """The data of every event; the end mark as it is."""
    found = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [one if one == "[DONE]" else json.loads(one) for one in found]


def test_json_is_the_default(client: TestClient, talk: bytes) -> None:
    answer = ask(client, talk)
    assert answer.status_code == 200
    assert answer.json() == {"text": ALL, "usage": {"type": "duration", "seconds": 5.0}}


def test_text(client: TestClient, talk: bytes) -> None:
    answer = ask(client, talk, response_format="text")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == ALL + "\n"


def test_subtitles(client: TestClient, talk: bytes) -> None:
    srt = ask(client, talk, response_format="srt").text
    assert srt.startswith("1\n00:00:00,000 --> 00:00:00,500\nword0\n\n2\n00:00:01,000 --> 00:00:01,500\nword1\n")
    vtt = ask(client, talk, response_format="vtt").text
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.500\nword0\n\n00:00:01.000 -->")
    by_talker = ask(client, talk, response_format="vtt", model="gpt-4o-transcribe-diarize").text
    assert "<v A>word0" in by_talker
    assert "<v B>word2" in by_talker
    assert "B: word3" in ask(client, talk, response_format="srt", model="gpt-4o-transcribe-diarize").text


def test_verbose_json(client: TestClient, talk: bytes) -> None:
    answer = ask(client, talk, response_format="verbose_json").json()
    assert set(answer) == {"task", "language", "duration", "text", "segments", "usage"}
    assert (answer["task"], answer["language"], answer["duration"]) == ("transcribe", "english", 5.0)
    second = answer["segments"][1]
    assert second.pop("compression_ratio") > 0
    assert second == {
        "id": 1,
        "seek": 100,
        "start": 1.0,
        "end": 1.5,
        "text": "word1",
        "tokens": [1, 2],
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "no_speech_prob": 0.01,
    }


def test_granularities(client: TestClient, talk: bytes) -> None:
    words = ask(client, talk, response_format="verbose_json", timestamp_granularities__="word").json()
    assert words["words"][2] == {"word": "word2", "start": 2.1, "end": 2.4}
    assert "segments" not in words
    both = ask(client, talk, response_format="verbose_json", timestamp_granularities__=["word", "segment"]).json()
    assert len(both["words"]) == len(both["segments"]) == 5
    talkers = ask(client, talk, response_format="diarized_json", timestamp_granularities__="word").json()
    assert talkers["segments"][2]["words"] == [words["words"][2]]
    assert "words" not in ask(client, talk, response_format="diarized_json").json()["segments"][2]
    refused = ask(client, talk, timestamp_granularities__="word")
    assert refused.status_code == 400
    assert "verbose_json" in refused.json()["error"]["message"]


def test_diarized_json_calls_strangers_by_letters(client: TestClient, talk: bytes) -> None:
    answer = ask(client, talk, model="gpt-4o-transcribe-diarize", response_format="diarized_json").json()
    assert set(answer) == {"task", "duration", "text", "segments", "usage"}
    assert answer["segments"][2] == {
        "type": "transcript.text.segment",
        "id": "seg_002",
        "start": 2.0,
        "end": 2.5,
        "speaker": "B",
        "text": "word2",
    }
    assert [one["speaker"] for one in answer["segments"]] == ["A", "A", "B", "B", "A"]
    assert answer["text"] == ALL


def test_known_speakers_keep_their_names_and_strangers_none(client: TestClient, talk: bytes) -> None:
    """Cleo is known and says nothing: nobody gets her name."""
    answer = ask(
        client,
        talk,
        response_format="diarized_json",
        known_speaker_names__=["cleo", "ben"],
        known_speaker_references__=[data_url(wav(voice(4.0, hz))) for hz in (CLEO_HZ, BEN_HZ)],
    ).json()
    assert [one["speaker"] for one in answer["segments"]] == ["A", "A", "ben", "ben", "A"]


def test_a_stranger_is_not_called_like_a_known_speaker(client: TestClient, talk: bytes) -> None:
    reference = data_url(wav(voice(4.0, BEN_HZ)))
    fields = {"known_speaker_names__": ["A"], "known_speaker_references__": [reference]}
    answer = ask(client, talk, response_format="diarized_json", **fields).json()
    assert [one["speaker"] for one in answer["segments"]] == ["B", "B", "A", "A", "B"]


def test_only_some_voices(client: TestClient, talk: bytes) -> None:
    reference = data_url(wav(voice(4.0, BEN_HZ)))
    named = {"known_speaker_names__": ["ben"], "known_speaker_references__": [reference]}
    assert ask(client, talk, speakers__="ben", **named).json()["text"] == "word2 word3"


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"response_format": "docx"}, "response_format", "verbose_json"),
        ({"temperature": "2"}, "temperature", "less than or equal to 1"),
        ({"language": "xx"}, "language", "no language"),
        ({"language": "French"}, "language", "fr"),
        ({"include__": "logprobs"}, "include", "log-probabilities"),
        ({"prompt_set": "third"}, "prompt_set", "first, second"),
        ({"speakers__": "nobody"}, "speakers", "POST /v1/voices"),
        ({"known_speaker_names__": ["a"], "known_speaker_references__": ["x", "y"]}, None, "one for each"),
        ({"known_speaker_names__": ["a", "a"]}, None, "twice"),
        ({"known_speaker_names__": "a", "known_speaker_references__": "data:audio/wav;base64,!"}, None, "base64"),
        ({"known_speaker_names__": [str(i) for i in range(17)]}, "known_speaker_names", "at most 16"),
        ({"stream": "true", "response_format": "srt"}, None, "stream"),
        ({"chunking_strategy": "sometimes"}, "chunking_strategy", "auto"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(
    client: TestClient, talk: bytes, fields: dict[str, Any], param: str | None, says: str
) -> None:
    refused = ask(client, talk, **fields)
    error = refused.json()["error"]
    assert refused.status_code == 400
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert says in error["message"]
    assert param is None or error["param"] == param


@pytest.mark.parametrize("seconds", [1.0, 12.0])
def test_a_reference_lasts_two_to_ten_seconds(client: TestClient, talk: bytes, seconds: float) -> None:
    reference = data_url(wav(voice(seconds, ADA_HZ)))
    refused = ask(client, talk, known_speaker_names__="ada", known_speaker_references__=reference)
    assert refused.status_code == 400
    assert f"the reference of 'ada' lasts {seconds:.1f} s; give 2 to 10 s" in refused.json()["error"]["message"]


def test_models_by_any_of_their_names(client: TestClient, talk: bytes) -> None:
    listed = client.get("/v1/models").json()
    names = [model["id"] for model in listed["data"]]
    assert listed["object"] == "list"
    assert {"fake.en", "whisper-1", "gpt-4o-transcribe", "gpt-4o-transcribe-diarize"} <= set(names)
    assert all(ask(client, talk, model=name).status_code == 200 for name in names)
    assert client.get("/v1/models/whisper-1").json()["object"] == "model"
    refused = ask(client, talk, model="gpt-5")
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "model_not_found"
    assert client.get("/v1/models/gpt-5").status_code == 404


def test_hints_that_change_nothing_are_named(client: TestClient, talk: bytes) -> None:
    fields = {"prompt": "Names: Ada.", "chunking_strategy[type]": "server_vad", "chunking_strategy[threshold]": "0.4"}
    answer = ask(client, talk, **fields)
    assert answer.status_code == 200
    assert answer.headers["x-softspoken-ignored"] == "prompt, chunking_strategy"
    assert "x-softspoken-ignored" not in ask(client, talk).headers


def test_translations(client: TestClient, talk: bytes, backend: FakeBackend) -> None:
    def translated(**fields: str) -> Any:
        files = {"file": ("talk.wav", talk)}
        return client.post("/v1/audio/translations", data={"model": "whisper-1", **fields}, files=files)

    assert translated().json()["text"] == ALL
    assert translated(response_format="verbose_json").json()["task"] == "translate"
    assert backend.batches[-1][0].job.wanted.task == "translate"
    assert translated(response_format="diarized_json").status_code == 400
    backend.translates = False
    assert "does not translate" in translated().json()["error"]["message"]


def test_silence_gives_nothing_and_costs_nothing(client: TestClient, backend: FakeBackend) -> None:
    silence = wav(voice(3.0, ADA_HZ) * 0)
    assert ask(client, silence).json()["text"] == ""
    assert ask(client, silence, response_format="diarized_json").json()["segments"] == []
    assert backend.batches == []


# Streams


def test_stream_of_text(client: TestClient, talk: bytes) -> None:
    answer = ask(client, talk, stream="true")
    assert answer.headers["content-type"].startswith("text/event-stream")
    *deltas, done, end = events_of(answer.text)
    assert {delta["type"] for delta in deltas} == {"transcript.text.delta"}
    assert "".join(delta["delta"] for delta in deltas) == ALL
    assert all("segment_id" not in delta for delta in deltas)
    assert done == {"type": "transcript.text.done", "text": ALL}
    assert end == "[DONE]"
    assert ": 5.0 of 5.0" in answer.text


def test_stream_by_talker(client: TestClient, talk: bytes) -> None:
    found = events_of(ask(client, talk, stream="true", response_format="diarized_json").text)
    segments = [one for one in found[:-1] if one["type"] == "transcript.text.segment"]
    deltas = [one for one in found[:-1] if one["type"] == "transcript.text.delta"]
    assert [one["id"] for one in segments] == [one["segment_id"] for one in deltas]
    assert [one["speaker"] for one in segments] == ["A", "A", "B", "B", "A"]
    assert set(segments[0]) == {"type", "id", "start", "end", "speaker", "text"}
    assert found[-2]["text"] == ALL


def test_stream_that_breaks(client: TestClient, talk: bytes) -> None:
    *_, error, end = events_of(ask(client, talk, stream="true", language="de").text)
    assert error["error"]["type"] == "server_error"
    assert "path" not in error["error"]["message"]
    assert end == "[DONE]"
