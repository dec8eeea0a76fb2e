"""The voice that a text means: a name in the store, or the path of a clip."""

from pathlib import Path

from softspoken.errors import EnrolmentError, SpeakerNotFound
from softspoken.speakers.base import SpeakerEmbedder
from softspoken.speakers.enrolment import LONGEST_NAME, Clip, Enrolment, enrol
from softspoken.speakers.quality import EnrolmentLimits
from softspoken.speakers.store.voices import EnrolmentStore


def resolve_voice(reference: str, store: EnrolmentStore, embedder: SpeakerEmbedder) -> Enrolment:
    """The enrolled voice of that name; otherwise the path of a clip, enrolled on the spot and not kept.

    A name wins over a file of the same name. Raises SpeakerNotFound for neither, AudioError or EnrolmentError for a
    clip that cannot be used, EnrolmentError for a voice enrolled with another embedder.
    """
    found = find_voice(reference, store)
    if isinstance(found, Enrolment):
        return _of(embedder, found)
    mixed = EnrolmentLimits(accept_mixed=True)
    return enrol(found.stem[:LONGEST_NAME] or "clip", [Clip(found)], embedder, limits=mixed)


def find_voice(reference: str, store: EnrolmentStore) -> Enrolment | Path:
    """The enrolled voice of that name, or the path of a clip: what can be known before a model is loaded.

    Raises SpeakerNotFound for what is neither.
    """
    path = Path(reference)
    if len(reference) > LONGEST_NAME or any(mark in reference for mark in "/\\"):
        return path
    try:
        return store.get(reference)
    except SpeakerNotFound as error:
        if not path.exists() and not path.suffix:
            raise SpeakerNotFound(f"{error}; nor is '{reference}' a clip") from None
    return path


def _of(embedder: SpeakerEmbedder, enrolment: Enrolment) -> Enrolment:
    if enrolment.embedder != embedder.name or len(enrolment.vector) != embedder.dimension:
        raise EnrolmentError(
            f"'{enrolment.name}' is enrolled with the embedder '{enrolment.embedder}', but '{embedder.name}' is needed "
            f"here: softspoken speaker enrol '{enrolment.name}' FILE --replace --embedder {embedder.name}"
        )
    return enrolment
