"""The voices that a request names, clips that come with it or enrolled ones of its user, and which talkers they are."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, product
from string import ascii_uppercase

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import AudioError, EnrolmentError, SpeakerNotFound, StoreUnavailable
from softspoken.serve.form import TranscriptionFields
from softspoken.serve.problems import Problem, without_store
from softspoken.serve.service import Service, in_thread
from softspoken.serve.uploads import decoded, from_data_url, is_data_url
from softspoken.serve.users import User
from softspoken.speakers import Enrolment
from softspoken.speakers.discovery import matches

_REFERENCE_S = (2.0, 10.0)
_SLACK_S = 0.25
"""Encoders pad a little."""
_SHORTEST_SPEECH_S = 1.0


async def voices_of(
    fields: TranscriptionFields, service: Service, user: User
) -> tuple[list[Enrolment], list[Enrolment]]:
    """The known speakers, and those whose words alone are wanted, under the names that the request gives them.

    Raises Problem (400) for a voice that cannot be found or used, or for too many.
    """
    if not fields.known_speaker_names and not fields.speakers:
        return [], []
    return await in_thread(partial(_found, fields, service, user), service.listening)


def _found(fields: TranscriptionFields, service: Service, user: User) -> tuple[list[Enrolment], list[Enrolment]]:
    most = service.config.limits.known_speakers
    for param, given in (("known_speaker_names", fields.known_speaker_names), ("speakers", fields.speakers)):
        if len(given) > most:
            raise Problem(400, f"{param}: {len(given)} given, at most {most} here", param=param)
    known = list(_known(fields, service, user))
    by_name = {voice.name: voice for voice in known}
    wanted = [by_name[name] if name in by_name else _enrolled(name, user, "speakers") for name in fields.speakers]
    return known, wanted


def _known(fields: TranscriptionFields, service: Service, user: User) -> Sequence[Enrolment]:
    names, references = fields.known_speaker_names, fields.known_speaker_references
    if not references:
        return [_enrolled(name, user, "known_speaker_names") for name in names]
    return [
        _from_clip(name, reference, service) if is_data_url(reference) else _renamed(name, reference, user)
        for name, reference in zip(names, references, strict=True)
    ]


def _from_clip(name: str, reference: str, service: Service) -> Enrolment:
    param = "known_speaker_references"
    shown = f"the reference of '{name}'"
    try:
        audio = decoded(from_data_url(reference), shown, _REFERENCE_S[1] * 60)
        seconds = audio.size / SAMPLE_RATE_HZ
        if not _REFERENCE_S[0] - _SLACK_S <= seconds <= _REFERENCE_S[1] + _SLACK_S:
            low, high = _REFERENCE_S
            raise Problem(400, f"{shown} lasts {seconds:.1f} s; give {low:g} to {high:g} s", param=param)
        return service.backend.enrol(name, [(shown, audio)], _SHORTEST_SPEECH_S)
    except (AudioError, EnrolmentError) as error:
        raise Problem(400, f"{param}: {error}", param=param) from None


def _renamed(name: str, reference: str, user: User) -> Enrolment:
    return replace(_enrolled(reference, user, "known_speaker_references"), name=name)


def _enrolled(name: str, user: User, param: str) -> Enrolment:
    try:
        return user.store.get(name)
    except SpeakerNotFound:
        known = ", ".join(voice.name for voice in user.store.list()[:8]) or "none"
        told = f"{param}: no voice '{name[:80]}' is enrolled here (enrolled: {known}); enrol it with POST /v1/voices"
        raise Problem(400, told, param=param, code="voice_not_found") from None
    except StoreUnavailable as error:
        raise without_store(error) from None
    except EnrolmentError as error:
        raise Problem(400, f"{param}: {error}", param=param) from None


def named(talkers: Sequence[Enrolment], known: Sequence[Enrolment], threshold: float) -> list[Enrolment]:
    """The talkers by name, each to be followed: known voices for those that are alike by `threshold` (cosine) or more,
    the surest pairs first and nobody twice; the others as they are, called A, B, ... in the order given."""
    sure = {talker: voice for talker, voice, likeness in matches(talkers, known) if likeness >= threshold}
    letters = _letters({voice.name for voice in known})
    return [
        known[sure[index]] if index in sure else replace(talker, name=next(letters))
        for index, talker in enumerate(talkers)
    ]


def _letters(taken: set[str]) -> Iterator[str]:
    for size in count(1):
        for letters in product(ascii_uppercase, repeat=size):
            if (name := "".join(letters)) not in taken:
                yield name
