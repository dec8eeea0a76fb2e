"""Systems under test by the names that a command line gives them: plain Whisper, the cascade, stored prompts."""

from functools import cached_property

from softspoken.backbones import load_backbone
from softspoken.decoding import TargetSpeakerTranscriber, transcribe_plain
from softspoken.evaluation import runner
from softspoken.evaluation.cascade import cascade_named
from softspoken.speakers import load_embedder

DEFAULT_BACKBONE = "tiny.en"
"""Of methods without a prompt, which would name its own."""


class Systems:
    """Builds methods by name; what several of them need is loaded once."""

    def __init__(self, backbone: str | None = None) -> None:
        """`backbone`: the frozen Whisper; None: the prompt's own, else `DEFAULT_BACKBONE`."""
        self.backbone = backbone

    def method(self, name: str) -> runner.Method:
        """The method called 'none', 'clean', 'cascade[:THRESHOLD]', 'diarise[:THRESHOLD]' or by a prompt's reference.

        Raises SoftspokenError when something it needs cannot be had.
        """
        if name == "none":
            return runner.plain(self._plain)
        if name == "clean":
            return runner.clean(self._plain)
        options = cascade_named(name)
        if options is not None:
            return runner.cascade(load_embedder("ge2e"), self._plain, options, name)
        return self._prompted(name)

    @cached_property
    def _plain(self) -> runner.Transcribe:
        backbone = load_backbone(DEFAULT_BACKBONE if self.backbone is None else self.backbone)
        return lambda audio: transcribe_plain(backbone, audio)

    def _prompted(self, name: str) -> runner.Method:
        # 'shipped' means the prompt in this package that was trained on the backbone asked for.
        reference = self.backbone if name == "shipped" and self.backbone is not None else name
        transcriber = TargetSpeakerTranscriber.from_pretrained(reference, backbone=self.backbone)
        return runner.prompted(name, lambda audio, enrolment: transcriber.transcribe(audio, speaker=enrolment))
