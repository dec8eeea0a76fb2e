"""Systems under test that only studies have beside those of `softspoken evaluate`: runs, and separation first."""

from pathlib import Path

from softspoken.backbones import load_backbone
from softspoken.decoding import DecodingOptions, PlainTranscriber, Transcript
from softspoken.errors import ConfigError
from softspoken.evaluation.runner import Method, Waveform
from softspoken.evaluation.systems import EMBEDDER, Systems, following
from softspoken.speakers import load_embedder
from softspoken.training.checkpoint import StateName
from softspoken_lab.studies.separation import separated, separation_named
from softspoken_lab.training.checkpoint import digest_of, load_run, run_named, transcriber_of


class StudySystems(Systems):
    """Also builds 'run:FOLDER[@best|@last]' (what a training run has trained) and 'separate:[THRESHOLD:]COMMAND'."""

    def method(self, name: str) -> Method:
        separation, run = separation_named(name), run_named(name)
        if separation is not None:
            return separated(load_embedder(EMBEDDER), self.plain, separation, name)
        return super().method(name) if run is None else self._of_run(name, *run)

    def plain_text(self, audio: Waveform) -> Transcript:
        """Plain Whisper without timestamps: its other way of writing, which natural text is compared with."""
        return PlainTranscriber(self.loaded).transcribe(audio, options=DecodingOptions(timestamps=False))

    def _of_run(self, name: str, run: Path, state: StateName) -> Method:
        loaded = load_run(run, state, None if self.backbone is None else load_backbone(self.backbone))
        engine = self.engine
        if loaded.config.method.kind != "prompt":
            if engine == "openvino" or self.precision not in (None, "float32"):
                raise ConfigError(
                    f"method '{name}' changes weights of the backbone, which only engine 'torch' runs, in float32; "
                    "leave --engine and --precision out"
                )
            engine = "torch"
        weights = {"weights": digest_of(loaded.trained), "method": loaded.config.method.model_dump(mode="json")}
        return following(name, transcriber_of(loaded, engine, self.precision, self.threads), weights)
