"""Systems under test by the names that a command line gives them: plain Whisper, the cascade, stored prompts."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from softspoken.decoding import PlainTranscriber, TargetSpeakerTranscriber, Transcript
from softspoken.decoding.conditioning import LENIENT, window_embedder
from softspoken.defaults import DEFAULT_BACKBONE
from softspoken.engines import Engine, EngineName, Precision, load_engine
from softspoken.errors import PromptError
from softspoken.evaluation import runner
from softspoken.evaluation.cascade import cascade_named
from softspoken.speakers import Clip, RecentWindows, load_embedder
from softspoken.speakers.enrolment import enrol

EMBEDDER = "campplus"
"""The embedder of methods without a prompt; the threshold of `CascadeOptions` fits it."""
_WITHOUT_PROMPT = ("none", "clean", "cascade", "diarise")
_LIMITS = replace(LENIENT, look_for_two_voices=False)
"""Nobody reads the warnings of a thousand clips."""
_DECODED_BY = {"digest", "prompts", "embedder", "window", "timestamps", "silence"}
"""What a stored prompt's answers depend on."""


class Systems:
    """Builds methods by name; what several of them need is loaded once."""

    def __init__(
        self,
        backbone: str | None = None,
        engine: EngineName = "torch",
        precision: Precision | None = None,
        threads: int | None = None,
    ) -> None:
        """`backbone`: the frozen Whisper; None: the prompt's own, else `DEFAULT_BACKBONE`. `engine`, `precision`,
        `threads`: see `load_engine`."""
        self.backbone = backbone
        self.engine: EngineName = engine
        self.precision: Precision | None = precision
        self.threads = threads

    def method(self, name: str) -> runner.Method:
        """The method called 'none', 'clean', 'cascade[:THRESHOLD]', 'diarise[:THRESHOLD]' or by a prompt's reference.

        Raises SoftspokenError when something it needs cannot be had.
        """
        if name == "none":
            return replace(runner.plain(self.plain), identity=self._backbone_facts)
        if name == "clean":
            return replace(runner.clean(self.plain), identity=self._backbone_facts)
        options = cascade_named(name)
        if options is not None:
            embedder = RecentWindows(window_embedder(load_embedder(EMBEDDER), self.loaded))
            facts = self._backbone_facts | {"embedder": embedder.name, name.partition(":")[0]: asdict(options)}
            return replace(runner.cascade(embedder, self.plain, options, name), identity=facts)
        return self._prompted(name)

    @cached_property
    def loaded(self) -> Engine:
        """What plain Whisper runs on."""
        backbone = DEFAULT_BACKBONE if self.backbone is None else self.backbone
        return load_engine(backbone, self.engine, self.precision, threads=self.threads)

    @property
    def _backbone_facts(self) -> dict[str, Any]:
        return {"backbone": self.loaded.backbone.fingerprint} | _ran_on(self.loaded)

    def plain(self, audio: runner.Waveform) -> Transcript:
        """What plain Whisper hears."""
        return PlainTranscriber(self.loaded).transcribe(audio)

    def _prompted(self, name: str) -> runner.Method:
        # 'shipped' means the prompt in this package that was trained on the backbone asked for.
        reference = self.backbone if name == "shipped" and self.backbone is not None else name
        try:
            transcriber = TargetSpeakerTranscriber.from_pretrained(
                reference, backbone=self.backbone, engine=self.engine, precision=self.precision, threads=self.threads
            )
        except PromptError as error:
            if "/" in name or Path(name).exists():
                raise
            raise type(error)(f"{error}; methods without a prompt: {', '.join(_WITHOUT_PROMPT)}") from error
        return following(name, transcriber)


def following(
    name: str, transcriber: TargetSpeakerTranscriber, weights: Mapping[str, Any] = MappingProxyType({})
) -> runner.Method:
    """The method that transcribes the enrolled voice. `weights`: what its answers depend on beside the prompt."""
    transcriber.embedder = RecentWindows(transcriber.embedder)

    def transcribe(audio: Float[np.ndarray, " N"], enrolment: Float[np.ndarray, " M"]) -> Transcript:
        voice = enrol("speaker", [Clip(enrolment.astype(np.float32))], transcriber.embedder, limits=_LIMITS)
        return transcriber.transcribe(audio, speaker=voice)

    method = runner.prompted(name, transcribe)
    # What the prompt is, not where it lies, nor what its card says of it.
    facts = transcriber.info.model_dump(mode="json", include=_DECODED_BY)
    ran_on = {"backbone": transcriber.engine.backbone.fingerprint} | _ran_on(transcriber.engine)
    return replace(method, identity={**facts, **weights, **ran_on})


def _ran_on(engine: Engine) -> dict[str, str]:
    """What answers depend on beside the weights, unless it is the reference: PyTorch in float32."""
    reference = engine.name == "torch" and engine.precision == "float32"
    return {} if reference else {"engine": engine.name, "precision": engine.precision}
