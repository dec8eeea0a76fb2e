"""Serving on a processor imports none of the packages that only learning needs, not even late."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import LAYERS, WIDTH
from voices import PitchEmbedder
from whisper_files import tiny_model, write_ctranslate2

import softspoken
from softspoken.audio import write_wav
from softspoken.backbones.checkpoints import read_whisper
from softspoken.packages import CACHE_VARIABLE
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt, save_prompts
from softspoken.prompts.config import EnrolmentPrompt

FORBIDDEN = ("torch", "transformers", "lhotse", "sklearn", "pandas")
REPORT = (
    f"import json, sys; print(json.dumps([name for name in {FORBIDDEN!r} if name in sys.modules]), file=sys.stderr)"
)
FOLLOW = """
import sys
import numpy as np
from softspoken.audio import load_audio
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.longform import Reader, audio_blocks
from softspoken.decoding.target_session import TargetSession, decode_session
from softspoken.decoding.options import options_under
from softspoken.engines import load_engine
from softspoken.prompts import load_prompts
from softspoken.speakers import Enrolment, SpeakerEmbedder

class Embedder(SpeakerEmbedder):
    name, dimension = "pitch", 8
    def embed(self, audio):
        return np.eye(8, dtype=np.float32)[0]
    def embed_windows(self, audio, window_s, hop_s):
        vectors = np.eye(8, dtype=np.float32)[[0, 1]]
        return vectors, np.array([0.0, 0.4], np.float32)

prompt, backbone, audio, precision = sys.argv[1:]
loaded = load_prompts(prompt)
engine = load_engine(backbone, "auto", precision, threads=1)
loaded.check(engine.backbone)
clip = load_audio(audio)
voice = Enrolment("ada", "pitch", np.eye(8, dtype=np.float32)[0], 4.0, "", (), clip=clip)
session = TargetSession(engine, engine.compile(loaded), loaded.info, Embedder(), [voice])
options = options_under(loaded.info, engine.max_frames, DecodingOptions(temperatures=(0.0,), max_tokens=4))
(step,) = decode_session(session, Reader(audio_blocks(audio)), options, 1)
assert step.windows == 1 and step.said[0][0].evidence.empty_logprob < 0.0
"""


def ran(*words: str) -> list[str]:
    """What a fresh interpreter has imported of `FORBIDDEN` when it is done."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stderr.splitlines()[-1])
    return found


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def backbone(cache: Path) -> str:
    return str(write_ctranslate2(tiny_model(frames=200), cache / "whisper"))


@pytest.fixture
def clip(cache: Path) -> str:
    sound = 0.1 * np.random.default_rng(0).standard_normal(9_600)
    write_wav(cache / "clip.wav", sound.astype(np.float32))
    return str(cache / "clip.wav")


def command(*words: str) -> list[str]:
    """`softspoken` with these words, and then the report."""
    run = f"import sys; sys.argv = ['softspoken', *{list(words)!r}]\nfrom softspoken.cli.main import app\n"
    return ["-c", run + f"try: app()\nexcept SystemExit as error: assert not error.code, error.code\n{REPORT}"]


@pytest.mark.parametrize("more", [[], ["--prompt", "short"], ["--precision", "int8", "--beam", "2"]])
def test_everybodys_words(backbone: str, clip: str, more: list[str]) -> None:
    assert ran(*command("transcribe", clip, "--plain", "--backbone", backbone, "--format", "json", *more)) == []


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_one_voices_words(backbone: str, clip: str, cache: Path, precision: str) -> None:
    """With a ready embedding; deep prompts, frame prompts and the enrolment clip itself."""
    config = PromptConfig(
        encoder=StackPrompt(length=2),
        decoder=StackPrompt(length=2),
        speaker=SpeakerPrompt(dimension=PitchEmbedder().dimension),
        frames=FramePrompt(keyed=2),
        enrolment=EnrolmentPrompt(clip_s=0.5),
    )
    torch.manual_seed(0)
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    save_prompts(prompts, cache / "prompt", backbone=read_whisper(backbone), embedder=PitchEmbedder().name)
    assert ran("-c", FOLLOW + REPORT, str(cache / "prompt"), backbone, clip, precision) == []


@pytest.mark.parametrize("words", [["prompt", "info"], ["speaker", "list"], ["backbone", "list"]])
def test_looking_at_what_there_is(words: list[str], cache: Path) -> None:
    assert ran(*command(*words)) == []


@pytest.mark.embedded
def test_one_voices_words_from_file_to_text() -> None:
    """The whole command on the shipped prompt and two recordings of the demo."""
    demo = Path(softspoken.__file__).parent / "assets" / "demo"
    words = ("transcribe", str(demo / "office.flac"), "--speaker", str(demo / "voice_ada.flac"), "--precision", "int8")
    assert ran(*command(*words)) == []
