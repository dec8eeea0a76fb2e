"""The engine as a backend: rows of different requests in one batch give what each gives alone; the real model."""

from collections.abc import Iterator
from difflib import SequenceMatcher

import numpy as np
import pytest
from served import wav
from starlette.testclient import TestClient

from softspoken.audio import load_audio
from softspoken.decoding import PromptedTranscriber, TargetSpeakerTranscriber
from softspoken.demo.recordings import load_recordings
from softspoken.live import Confirmed, LiveEvent
from softspoken.prompts.short import short_window_prompts
from softspoken.serve.app import create_app
from softspoken.serve.backend import EngineBackend
from softspoken.serve.config import ServerConfig
from softspoken.serve.work import Job, Piece, Spoken, Wanted
from softspoken.speakers import EnrolmentStore


@pytest.fixture(scope="module")
def transcriber(tmp_path_factory: pytest.TempPathFactory) -> TargetSpeakerTranscriber:
    store = EnrolmentStore(tmp_path_factory.mktemp("voices") / "voices.db")
    made = TargetSpeakerTranscriber.from_pretrained(engine="auto", store=store)
    for voice in load_recordings().voices:
        store.enrol(voice.name, [voice.enrolment], made.embedder)
    return made


@pytest.fixture(scope="module")
def backend(transcriber: TargetSpeakerTranscriber) -> EngineBackend:
    return EngineBackend({"shipped": transcriber})


def alone(backend: EngineBackend, job: Job) -> Iterator[Spoken]:
    while (piece := job.next_piece()) is not None:
        yield from job.take(piece, backend.run([piece])[0])


@pytest.mark.embedded
def test_rows_of_other_requests_change_nothing(backend: EngineBackend, transcriber: TargetSpeakerTranscriber) -> None:
    first, second, *_ = load_recordings().mixtures
    asked = [(load_audio(first.file), "Ada"), (load_audio(second.file), "Felix"), (load_audio(first.file), "Boris")]
    jobs = [backend.start(Wanted(audio, (transcriber.store.get(name),))) for audio, name in asked]
    pieces: list[Piece] = [piece for job in jobs if (piece := job.next_piece()) is not None]
    assert len({piece.key for piece in pieces}) == 1
    together = [job.take(piece, answer) for job, piece, answer in zip(jobs, pieces, backend.run(pieces), strict=True)]
    for (audio, name), found in zip(asked, together, strict=True):
        expected = transcriber.transcribe(audio, name)
        assert " ".join(one.text for one in found) == expected.text
        assert {one.speaker for one in found} == {name}


@pytest.mark.embedded
def test_everybody_is_transcribed_in_batches_too(backend: EngineBackend, transcriber: TargetSpeakerTranscriber) -> None:
    clips = [load_audio(voice.enrolment) for voice in load_recordings().voices[:2]]
    long = np.concatenate([*clips] * 2)[: 16_000 * 24]
    jobs = [backend.start(Wanted(audio)) for audio in (clips[0], clips[1], long)]
    pieces: list[Piece] = [piece for job in jobs if (piece := job.next_piece()) is not None]
    answers = backend.run(pieces)
    texts = []
    for job, piece, answer in zip(jobs, pieces, answers, strict=True):
        texts.append(" ".join(one.text for one in [*job.take(piece, answer), *alone(backend, job)]))
        assert job.finished
    everybody = PromptedTranscriber(transcriber.engine, short_window_prompts(transcriber.engine))
    assert texts == [everybody.transcribe(audio).text for audio in (*clips, long)]


@pytest.mark.embedded
def test_talkers_of_a_real_mixture_by_name(backend: EngineBackend, transcriber: TargetSpeakerTranscriber) -> None:
    """Ada and Boris talk at once, Edith is known and silent: over HTTP, with the voices enrolled."""
    config = ServerConfig(data=transcriber.store.path.parent)
    mixture = load_recordings().mixtures[0]
    with TestClient(create_app(backend, config)) as client:
        answer = client.post(
            "/v1/audio/transcriptions",
            data={
                "model": "gpt-4o-transcribe-diarize",
                "response_format": "diarized_json",
                "known_speaker_names[]": ["Ada", "Boris", "Edith"],
            },
            files={"file": ("meeting.wav", wav(load_audio(mixture.file)))},
        ).json()
    said = {
        who: " ".join(one["text"] for one in answer["segments"] if one["speaker"] == who) for who in ("Ada", "Boris")
    }
    assert {one["speaker"] for one in answer["segments"]} == {"Ada", "Boris"}
    assert "invoice" in said["Ada"]
    assert "design review" in said["Boris"]


@pytest.mark.embedded
def test_words_have_times_where_they_are_asked_for(backend: EngineBackend) -> None:
    audio = load_audio(load_recordings().voices[0].enrolment)
    said = list(alone(backend, backend.start(Wanted(audio, words=True))))
    for one in said:
        assert [word.text for word in one.words] == one.text.split()
        times = [time for word in one.words for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert one.start_s - 0.1 <= times[0] <= times[-1] <= one.end_s + 0.1
    assert said


@pytest.mark.embedded
def test_a_voice_is_followed_live(backend: EngineBackend, transcriber: TargetSpeakerTranscriber) -> None:
    """The voice alone, then somebody else's; what is confirmed is what the whole recording says, nearly."""
    recordings = load_recordings()
    names = [voice.name for voice in recordings.voices[:2]]
    clips = [load_audio(voice.enrolment)[: 16_000 * 5] for voice in recordings.voices[:2]]
    live = backend.live((transcriber.store.get(names[0]),), None, None)
    events: list[LiveEvent] = []
    audio = np.concatenate([clips[0], np.zeros(16_000, np.float32), clips[1]])
    for at in range(0, audio.size, 16_000):
        events += live.feed(audio[at : at + 16_000])
    events += live.finish()
    confirmed = [event for event in events if isinstance(event, Confirmed)]
    assert {event.speaker for event in confirmed} == {names[0]}
    assert confirmed[-1].end_s < 6.5
    said = " ".join(event.text for event in confirmed)
    wanted = transcriber.transcribe(clips[0], names[0]).text
    same = SequenceMatcher(None, said.lower().split(), wanted.lower().split()).ratio()
    assert same > 0.7, (said, wanted)


@pytest.mark.embedded
def test_words_that_two_voices_claim_are_ones(backend: EngineBackend, transcriber: TargetSpeakerTranscriber) -> None:
    """As in a conversation of `transcribe_conversation`."""
    audio, names = load_audio(load_recordings().mixtures[0].file), ["Ada", "Boris"]
    voices = tuple(transcriber.store.get(name) for name in names)
    expected = transcriber.transcribe_conversation(audio, voices)
    found = list(alone(backend, backend.start(Wanted(audio, voices))))
    for name, one in zip(names, expected.transcripts, strict=True):
        assert [said.text for said in found if said.speaker == name] == [segment.text for segment in one.segments]
    assert not any(said.words for said in found)
