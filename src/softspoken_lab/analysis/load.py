"""What is to be analysed, by its name, and test sets: a recogniser, a target-speaker prompt, manifests."""

from collections.abc import Sequence
from pathlib import Path

from softspoken.backbones import load_backbone
from softspoken.backbones.weights import StackName
from softspoken.errors import ConfigError, PromptMismatch
from softspoken.prompts.checkpoint import load_prompts
from softspoken.prompts.folder import RECOGNIZER_FILE
from softspoken.speakers import DEFAULT_EMBEDDER, load_embedder
from softspoken_lab.analysis.ctc_subject import CTCSubject
from softspoken_lab.analysis.subject import Subject, TestSet
from softspoken_lab.analysis.target_subject import TargetSpeakerSubject
from softspoken_lab.noise.encoders import load_encoder
from softspoken_lab.noise.folder import load_recognizer
from softspoken_lab.noise.testsets import Split, read_items


def load_subject(
    reference: str | Path, *, stack: StackName = "encoder", backbone: str | None = None, device: str = "cpu"
) -> Subject:
    """A recogniser for noise (a folder with `recognizer.json`), or prompts that follow a voice (see `load_prompts`).

    `stack`: whose vectors are taken apart, of prompts that follow a voice. `backbone`: None is the one whose name is
    stored. Raises PromptError, BackboneError, ConfigError when something is missing, damaged or does not fit.
    """
    if is_recognizer(reference):
        return load_ctc_subject(reference, stack=stack, backbone=backbone, device=device)
    prompts = load_prompts(reference)
    if prompts.info.task != "target-speaker":
        raise PromptMismatch(
            f"'{reference}' holds prompts without the head they were trained with; give the recogniser's own folder"
        )
    whisper = load_backbone(prompts.info.backbone.name if backbone is None else backbone, device)
    embedder = load_embedder(DEFAULT_EMBEDDER if prompts.info.embedder is None else prompts.info.embedder, device)
    return TargetSpeakerSubject(prompts, whisper, embedder, stack, Path(reference).name)


def load_ctc_subject(
    reference: str | Path, *, stack: StackName = "encoder", backbone: str | None = None, device: str = "cpu"
) -> CTCSubject:
    """A recogniser for noise. Raises ConfigError for a decoder's stack, which it does not have; else as above."""
    if stack != "encoder":
        raise ConfigError(f"'{reference}' is a recogniser for noise: it has encoder vectors alone; leave --stack out")
    recognizer = load_recognizer(reference)
    encoder = load_encoder(recognizer.info.backbone.name if backbone is None else backbone, device)
    return CTCSubject(recognizer, encoder, Path(reference).name)


def is_recognizer(reference: str | Path) -> bool:
    """Whether it is a folder with a recogniser for noise."""
    return (Path(reference).expanduser() / RECOGNIZER_FILE).is_file()


def read_test_set(
    name: str,
    path: str | Path,
    *,
    split: Split = "test",
    corpora: Sequence[str] = (),
    transcripts: str | Path | None = None,
    limit: int | None = None,
) -> TestSet:
    """`read_items` as a set under its name. Raises DataError when there is nothing."""
    items = read_items(name, path, split=split, corpora=corpora, transcripts=transcripts, limit=limit)
    return TestSet(name, items)
