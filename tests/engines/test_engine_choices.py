"""Precisions, refusals, threads, and the public ways to an engine."""

import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_samples import KINDS, SECONDS, engine_start, few_steps, sample, windows
from tiny import LAYERS, WIDTH, tiny_backbone, tone
from voices import PitchEmbedder, voice

from softspoken.backbones import WhisperBackbone
from softspoken.decoding import DecodingOptions, PlainTranscriber, TargetSpeakerTranscriber, WindowOptions
from softspoken.decoding.search import decode_batch
from softspoken.engines import Engine, TorchEngine, load_engine, openvino_engine
from softspoken.errors import ConfigError
from softspoken.openvino_core import openvino_core
from softspoken.packages import CACHE_VARIABLE
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts, save_prompts
from softspoken.speakers import EnrolmentStore

GREEDY = DecodingOptions(temperatures=(0.0,), repeat_limit=None, no_speech_threshold=None, max_tokens=20)


def agreement(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    """How often the likeliest token is the same."""
    pairs = [(one.argmax(-1), other.argmax(-1)) for one, other in zip(found, wanted, strict=True) if one.ndim > 1]
    return float(np.concatenate([one == other for one, other in pairs]).mean())


def similarity(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    """The least correlation of a row of scores."""
    rows = [
        (a, b)
        for one, other in zip(found, wanted, strict=True)
        if one.ndim > 1
        for a, b in zip(one, other, strict=True)
    ]
    return min(float(np.corrcoef(np.stack(pair))[0, 1]) for pair in rows)


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """On a backbone whose weights are large enough to be quantised."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("int8")))
        return load_engine(tiny_backbone(2, width=64), "openvino", "int8", threads=1)


def test_int8_is_nearly_float32(int8: Engine) -> None:
    found = few_steps(int8.encode(int8.features(windows())).prefill(int8.tokens.start()))
    exact = TorchEngine(tiny_backbone(2, width=64))
    wanted = few_steps(exact.encode(exact.features(windows())).prefill(exact.tokens.start()))
    spread = float(wanted[0].std())
    assert max(float(np.abs(one - other).max()) for one, other in zip(found, wanted, strict=True)) < 0.2 * spread
    assert similarity(found, wanted) > 0.995
    assert agreement(found, wanted) >= 0.75


def test_int8_weights_are_int8_on_disk(int8: Engine) -> None:
    import openvino

    int8.encode(int8.features(windows())).prefill(int8.tokens.start())
    folder: Path = int8._store.folder
    layers = int8.backbone.layers["encoder"]
    # Query, key, value and output, two of the feed-forward; of the look-up, the keys and values are the encoder's.
    for name, count in (("encoder-none", 8 * layers), ("decoder", 8 * layers + 1)):
        model = openvino_core().read_model(folder / name / "model.xml")
        constants = [node for node in model.get_ops() if node.get_type_name() == "Constant"]
        small = [node for node in constants if node.get_element_type() == openvino.Type.i8]
        assert len(small) == count
        for node in small:
            largest = np.abs(node.get_data().astype(int)).max(axis=1)
            assert (largest == 127).all()
        left = [node for node in constants if node.get_element_type() == openvino.Type.f32]
        assert max(node.get_data().size for node in left) < 4096
        weights = sum(node.get_data().size for node in small)
        assert (folder / name / "model.bin").stat().st_size < 1.3 * weights


@pytest.mark.parametrize("amx", [True, False])
def test_int8_encodes_in_bfloat16_where_that_is_faster(amx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "has_amx", lambda: amx)
    engine = load_engine(tiny_backbone(), "openvino", "int8", threads=1)
    assert {engine._hint(name) for name in ("frontend", "encoder-none", "encoder-keyed")} == {"bf16" if amx else "f32"}
    assert {engine._hint(name) for name in ("decoder", "decoder-text", "layers")} == {"f32"}


def test_what_was_compiled_for_another_processor_is_not_taken(tmp_path: Path) -> None:
    """OpenVINO's own cache takes no notice of what a model computes in; taking the wrong one kills the process."""
    life = """
import sys
from engine_samples import windows
from tiny import tiny_backbone
from softspoken.engines import load_engine, openvino_engine
openvino_engine.has_amx = lambda: sys.argv[1] == "amx"
engine = load_engine(tiny_backbone(2, width=64), "openvino", "int8", threads=1)
engine.encode(engine.features(windows()))
"""
    here = {**os.environ, CACHE_VARIABLE: str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    for kind in ("without", "amx"):
        subprocess.run([sys.executable, "-c", life, kind], env=here, check=True, capture_output=True)


def test_bfloat16_reads_the_audio_in_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And writes what it would write if every step rounded float32 states anew, as other processors do."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    found = {}
    for able in (True, False):
        monkeypatch.setattr(openvino_engine, "_rounds", lambda able=able: able)
        engine = load_engine(tiny_backbone(2, width=64), "openvino", "bfloat16", threads=1)
        heard = engine.encode(engine.features(windows()))
        assert {part.dtype for part in heard.cross} == {np.dtype(np.float16 if able else np.float32)}
        prefilled = heard.prefill(engine.tokens.start())
        rows = prefilled.live([1, 0])
        rows.keep([1], [0])
        found[able] = [*few_steps(prefilled), rows.step([3])]
    spread = float(found[False][0].std())
    for one, other in zip(found[True], found[False], strict=True):
        np.testing.assert_allclose(one, other, atol=0.02 * spread, rtol=0.0)


def test_loading_by_name(backbone: WhisperBackbone, engines: dict[str, Engine]) -> None:
    assert isinstance(engines["torch"], TorchEngine)
    assert [engine.name for engine in engines.values()] == list(engines)
    assert [engine.precision for engine in engines.values()] == ["float32", "float32"]
    assert engines["torch"].backbone is backbone
    assert all(engine.backbone.fingerprint == backbone.fingerprint for engine in engines.values())
    with pytest.raises(ConfigError, match="'torch' has no precision 'int8'; use float32"):
        load_engine(backbone, "torch", "int8")
    with pytest.raises(ConfigError, match="'openvino' has no precision 'float16'; use float32"):
        load_engine(backbone, "openvino", "float16")
    half = tiny_backbone(9).to("cpu", torch.bfloat16)
    with pytest.raises(ConfigError, match="from float32 weights, got cpu and torch"):
        load_engine(half, "openvino")
    assert load_engine(half).precision == "bfloat16"


def test_openvino_is_optional(backbone: WhisperBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match="pip install openvino"):
        load_engine(backbone, "openvino")
    assert load_engine(backbone).name == "torch"


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_runs_every_kind(precision: str, engines: dict[str, Engine], backbone: WhisperBackbone) -> None:
    engine = load_engine(tiny_backbone(), "torch", precision)
    for kind in KINDS:
        given = sample(backbone, kind)
        wanted = few_steps(engine_start(engines["torch"], given, windows()))
        found = few_steps(engine_start(engine, given, windows()))
        assert all(scores.dtype == np.float32 for scores in found)
        assert similarity(found, wanted) > 0.999
    assert any(not np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_threads_share_an_engine(engine: Engine, backbone: WhisperBackbone) -> None:
    kinds = ["authors", "keyed alone", "none", "voice in both"]
    few = GREEDY.model_copy(update={"max_tokens": 10})
    beams = few.model_copy(update={"beam_size": 2, "max_tokens": 5})

    def decode(number: int) -> list[tuple[int, ...]]:
        rows = [number % 3, (number + 1) % 3][: 1 + number % 2]
        given = sample(backbone, kinds[number], rows=len(rows), seed=number)
        audio = [tone(SECONDS[row], 10 * number + row) for row in rows]
        written: list[tuple[int, ...]] = []
        for options in (few, beams):
            heard = given.heard(engine, audio)
            found = decode_batch(heard, options, window_s=[SECONDS[row] for row in rows])
            written += [window.tokens for window in found]
        return written

    alone = [decode(number) for number in range(4)]
    together = threading.Barrier(4)

    def at_once(number: int) -> list[tuple[int, ...]]:
        together.wait()
        return decode(number)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(at_once, range(4)))
    assert found == alone
    assert len({tokens for one in alone for tokens in one}) > 4


def test_threads_may_be_the_first(
    engines: dict[str, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Models of an engine are exported while other threads want the same ones, and others."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    backbone = tiny_backbone()
    fresh = load_engine(backbone, "openvino", threads=1)
    given = [sample(backbone, kind) for kind in ("none", "plain frames")]
    features = windows()
    together = threading.Barrier(2)

    def run(number: int) -> list[np.ndarray]:
        together.wait()
        return few_steps(engine_start(fresh, given[number], features))

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(run, range(2)))
    for one, each in zip(found, given, strict=True):
        wanted = few_steps(engine_start(engines["torch"], each, features))
        assert max(float(np.abs(a - b).max()) for a, b in zip(one, wanted, strict=True)) < 1e-4
    # Two threads' lines may be mixed.
    made = re.findall(r"building the (\S+)", capfd.readouterr().err)
    assert sorted(made) == ["decoder", "encoder-none", "encoder-plain", "frontend"]


EMBEDDER = PitchEmbedder()
QUICK = DecodingOptions(temperatures=(0.0,), max_tokens=12, windows=WindowOptions(longest_s=3.0, search_s=1.0))


def prompts_in(folder: Path, backbone: WhisperBackbone) -> LoadedPrompts:
    config = PromptConfig(
        encoder=StackPrompt(length=2),
        decoder=StackPrompt(length=2),
        speaker=SpeakerPrompt(dimension=EMBEDDER.dimension),
        frames=FramePrompt(keyed=2, mute_db=6),
    )
    torch.manual_seed(0)
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    with torch.no_grad():
        for parameter in prompts.parameters():
            parameter.normal_(std=0.5)
    save_prompts(prompts, folder, backbone=backbone, embedder=EMBEDDER.name)
    return load_prompts(folder, backbone)


def test_transcripts_are_the_same_on_every_engine(
    engines: dict[str, Engine], backbone: WhisperBackbone, tmp_path: Path
) -> None:
    prompts, store = prompts_in(tmp_path / "prompt", backbone), EnrolmentStore(tmp_path / "voices.db")
    audio = np.concatenate([voice(4.0, 300.0, 1), voice(3.5, 900.0, 2)])
    speakers = [voice(4.0, 300.0), voice(4.0, 900.0)]
    on = {name: TargetSpeakerTranscriber(engine, prompts, EMBEDDER, store) for name, engine in engines.items()}
    wanted = on["torch"].transcribe_many(audio, speakers, QUICK)
    assert wanted[0].text
    assert wanted[0].text != wanted[1].text
    for following in on.values():
        for one, other in zip(following.transcribe_many(audio, speakers, QUICK), wanted, strict=True):
            assert [(s.start_s, s.end_s, s.tokens) for s in one.segments] == [
                (s.start_s, s.end_s, s.tokens) for s in other.segments
            ]
            assert one.presence == other.presence
            for mine, theirs in zip(one.windows, other.windows, strict=True):
                assert mine.empty_logprob == pytest.approx(theirs.empty_logprob, abs=1e-3)


def test_plain_transcripts_are_the_same_on_every_engine(engines: dict[str, Engine], backbone: WhisperBackbone) -> None:
    audio = np.concatenate([tone(3.0, 1), tone(4.5, 2)])
    wanted = PlainTranscriber(engines["torch"]).transcribe(audio, options=QUICK)
    assert wanted.text
    for engine in engines.values():
        found = PlainTranscriber(engine).transcribe(audio, options=QUICK)
        assert found.text == wanted.text
        assert [segment.tokens for segment in PlainTranscriber(engine).stream(audio, options=QUICK)] == [
            segment.tokens for segment in wanted.segments
        ]


@pytest.mark.embedded
@pytest.mark.timeout(600)
def test_real_speech_is_the_same_on_openvino(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    from softspoken.backbones import load_backbone
    from softspoken.backbones.embedded import EMBEDDED

    if EMBEDDED["tiny.en"].status == "not fetched":
        pytest.skip("'tiny.en' is not here: softspoken backbone fetch tiny.en")
    lines = (shared_data / "speech" / "manifest.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    row = next(r for r in rows if r["corpus"] == "librispeech_train-clean-100" and 8 < r["duration_s"] < 12)
    clip = shared_data / "speech" / row["path"]
    real = load_backbone("tiny.en")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    options = DecodingOptions(temperatures=(0.0,))
    wanted = PlainTranscriber(load_engine(real, "torch")).transcribe(clip, options=options)
    found = PlainTranscriber(load_engine(real, "openvino", threads=1)).transcribe(clip, options=options)
    assert len(wanted.text.split()) > 15
    assert [segment.tokens for segment in found.segments] == [segment.tokens for segment in wanted.segments]
    small = PlainTranscriber(load_engine(real, "openvino", "int8", threads=1)).transcribe(clip, options=options)
    missing = set(wanted.text.lower().split()) ^ set(small.text.lower().split())
    assert len(missing) <= 4
