"""The doctor: a prompt that does what it is for is well, one that loads and harms is not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from softspoken.demo import load_recordings
from softspoken.demo.health import Signs, complaints, examine
from softspoken.demo.recordings import FloatArray, Voice, read_clip

WELL = Signs(mixed_words=188, mixed_errors=40, plain_errors=150, alone_words=210, alone_errors=12, silent_words=0)


@dataclass
class Said:
    text: str


class Listener:
    """Knows all recordings by heart. `wrong`: what it writes for a silent voice; `deaf`: it writes everybody's."""

    def __init__(self, wrong: str = "", deaf: bool = False) -> None:
        self.wrong, self.deaf = wrong, deaf
        self.recordings = load_recordings()
        self.voices = {read_clip(voice.enrolment).tobytes(): voice for voice in self.recordings.voices}
        self.mixtures = {read_clip(mixture.file).tobytes(): mixture for mixture in self.recordings.mixtures}

    def voice(self, speaker: FloatArray) -> Voice:
        return self.voices[speaker.tobytes()]

    def transcribe_many(self, audio: FloatArray, speakers: Sequence[Voice]) -> list[Said]:
        return [self.heard(audio, voice) for voice in speakers]

    def heard(self, audio: FloatArray, voice: Voice) -> Said:
        if audio.tobytes() in self.voices:
            return Said(self.voices[audio.tobytes()].text)
        mixture = self.mixtures[audio.tobytes()]
        texts = [talker.text for talker in mixture.talkers if self.deaf or talker.voice == voice.name]
        return Said(" ".join(texts) or self.wrong)

    def transcribe_plain(self, audio: FloatArray) -> Said:
        return Said(" ".join(talker.text for talker in self.mixtures[audio.tobytes()].talkers))


def signs_of(listener: Listener) -> Signs:
    return Signs.total(examine(load_recordings(), listener).values())


def test_a_perfect_listener_is_well() -> None:
    told: list[str] = []
    each = examine(load_recordings(), Listener(), told.append)
    recordings = load_recordings()
    assert list(each) == [one.name for one in (*recordings.mixtures, *recordings.voices)]
    signs = Signs.total(each.values())
    assert (signs.mixed_errors, signs.alone_errors, signs.silent_words) == (0, 0, 0)
    assert signs.words > 350
    assert signs.plain_errors > 100
    assert len(told) == 11
    assert complaints(signs) == complaints(signs, signs) == []


def test_who_writes_for_nobody_or_everybody_is_not() -> None:
    signs = signs_of(Listener(wrong="thank you very much for watching"))
    assert [line for line in complaints(signs) if "not there" in line]
    deaf = complaints(signs_of(Listener(deaf=True)))
    assert [line for line in deaf if "does not follow a voice" in line]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mixed_errors": 125}, "does not follow"),
        ({"alone_errors": 60}, "harms clear speech"),
        ({"silent_words": 33}, "not there"),
    ],
)
def test_each_sign_has_its_complaint(change: dict[str, int], said: str) -> None:
    assert complaints(WELL) == []
    (found,) = complaints(replace(WELL, **change))
    assert said in found


def test_two_points_more_errors_than_a_sound_prompt_are_seen() -> None:
    assert complaints(replace(WELL, mixed_errors=47), WELL) == []
    assert complaints(replace(WELL, mixed_errors=49), WELL) == [
        "it makes 2.3 points more errors than the prompt that comes with the package"
    ]
    # A sentence less for somebody who is silent does not hide them.
    assert complaints(replace(WELL, mixed_errors=49), replace(WELL, silent_words=20))
    # A better one is no reason to complain.
    assert complaints(WELL, replace(WELL, mixed_errors=49)) == []


def test_signs_of_recordings_add_up() -> None:
    assert Signs.total([]) == Signs()
    assert Signs.total([WELL, replace(WELL, silent_words=3)]).silent_words == 3
    assert Signs.total([WELL, WELL]).words == 2 * WELL.words


def test_signs_are_plain_data(tmp_path: Path) -> None:
    assert Signs(**json.loads(json.dumps(WELL.as_json()))) == WELL
