"""The voice a user means: a name in the store, or a clip."""

from pathlib import Path

from softspoken.errors import EnrolmentError, SpeakerNotFound
from softspoken.speakers.base import SpeakerEmbedder
from softspoken.speakers.enrolment import LONGEST_NAME, Clip, Enrolment, enrol
from softspoken.speakers.store import EnrolmentStore


def resolve_voice(reference: str, store: EnrolmentStore, embedder: SpeakerEmbedder) -> Enrolment:
    """The enrolled voice of that name; otherwise the path of a clip, enrolled on the spot and not kept.

    A name wins over a file of the same name. Raises SpeakerNotFound for neither, AudioError or EnrolmentError for a
    clip that cannot be used, EnrolmentError for a voice enrolled with another embedder.
    """
    path = Path(reference)
    is_path = len(reference) > LONGEST_NAME or any(mark in reference for mark in "/\\")
    if not is_path:
        try:
            enrolment = store.get(reference)
        except SpeakerNotFound as error:
            if not path.exists() and not path.suffix:
                raise SpeakerNotFound(f"{error}; nor is '{reference}' a clip") from None
        else:
            return _of(embedder, enrolment)
    return enrol(path.stem[:LONGEST_NAME] or "clip", [Clip(path)], embedder)


def _of(embedder: SpeakerEmbedder, enrolment: Enrolment) -> Enrolment:
    if enrolment.embedder != embedder.name or len(enrolment.vector) != embedder.dimension:
        raise EnrolmentError(
            f"'{enrolment.name}' is enrolled with the embedder '{enrolment.embedder}', but '{embedder.name}' is needed "
            f"here: softspoken speaker enrol '{enrolment.name}' FILE --replace --embedder {embedder.name}"
        )
    return enrolment
