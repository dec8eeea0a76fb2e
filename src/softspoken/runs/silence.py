"""A stored prompt on targets who speak and targets who do not: calibrated, measured, and asked about mere noise."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from softspoken.backbones import load_backbone
from softspoken.decoding import TargetSpeakerTranscriber, Transcript
from softspoken.decoding.silence import SilenceModel
from softspoken.errors import DataError
from softspoken.evaluation.hallucination import Listen, Sound, WordRate, word_rates
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken.evaluation.silence import (
    LISTENING,
    Observation,
    SilenceReport,
    observe,
    read_observations,
    report,
    write_observations,
)
from softspoken.evaluation.silence_fit import FitOptions, Fitted, fit
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts
from softspoken.prompts.recalibrate import store_silence
from softspoken.speakers import DEFAULT_EMBEDDER, load_embedder

Progress = Callable[[Sequence[EvaluationItem]], Iterable[EvaluationItem]]


def calibrate_prompt(
    reference: str,
    manifests: Sequence[Path],
    out: Path,
    options: FitOptions | None = None,
    kept: Path | None = None,
    progress: Progress = iter,
) -> Fitted:
    """Fit a silence model to development items and store the prompt with it as the folder `out`.

    Args:
        manifests: evaluation manifests with speaking and silent targets of talkers who are not for testing.
        kept: file of what was observed; items that are in it (of the same prompt) are not transcribed again.

    Raises SoftspokenError for whatever cannot be read, fitted or written.
    """
    loaded = load_prompts(reference)
    options = FitOptions(timestamps=loaded.info.timestamps) if options is None else options
    items = [item for manifest in manifests for item in read_evaluation_manifest(manifest)]
    if options.decides == "both":
        transcriber, how = _transcriber(loaded, LISTENING), "heard"
    else:
        transcriber, how = _transcriber(loaded, None), "written"
    source = f"{loaded.info.digest} {how}"
    known = {} if kept is None else read_observations(kept, source)
    missing = [item for item in items if (str(item.audio), str(item.enrolment)) not in known]
    for one in observe(progress(missing), transcriber.transcribe):
        known[one.audio, one.enrolment] = one
    if kept is not None and missing:
        write_observations(list(known.values()), kept, source)
    fitted = fit([known[str(item.audio), str(item.enrolment)] for item in items], options)
    store_silence(reference, fitted.model, out)
    return fitted


def measure_prompt(
    reference: str, manifests: Sequence[Path], false_rejection: float = 0.01, progress: Progress = iter
) -> tuple[SilenceReport, list[Observation]]:
    """What a prompt, as it is stored, does with speaking and silent targets."""
    items = [item for manifest in manifests for item in read_evaluation_manifest(manifest)]
    transcriber = TargetSpeakerTranscriber.from_pretrained(reference)
    observations = list(observe(progress(items), transcriber.transcribe))
    return report(observations, false_rejection), observations


def hallucinated_words(
    reference: str, voices: Sequence[Path], sounds: Iterable[Sound], backbone: str | None = None
) -> list[WordRate]:
    """Words a minute where nobody speaks, by plain Whisper and by a prompt that listens for each of `voices`.

    Raises DataError without a voice.
    """
    if not voices:
        raise DataError("no voice to listen for; give clips of one or more talkers")
    transcriber = TargetSpeakerTranscriber.from_pretrained(reference, backbone)
    enrolled = [transcriber.voice(path) for path in voices]

    def plain(audio: np.ndarray) -> list[Transcript]:
        return [transcriber.transcribe_plain(audio)]

    def prompted(audio: np.ndarray) -> list[Transcript]:
        return transcriber.transcribe_many(audio, enrolled)

    systems: dict[str, Listen] = {"plain": plain, "prompt": prompted}
    return word_rates(sounds, systems)


def _transcriber(loaded: LoadedPrompts, model: SilenceModel | None) -> TargetSpeakerTranscriber:
    """A transcriber with this silence model instead of what is stored."""
    info = loaded.info.model_copy(update={"silence": model, "silence_threshold": None})
    embedder = load_embedder(DEFAULT_EMBEDDER if info.embedder is None else info.embedder)
    return TargetSpeakerTranscriber(load_backbone(info.backbone.name), LoadedPrompts(loaded.prompts, info), embedder)
