"""Prompts that follow a voice, taken apart: the same machinery, other words."""

import json
from pathlib import Path

import pytest
import torch
from tiny import LAYERS, WIDTH, tiny_backbone
from voices import PitchEmbedder, voice

from softspoken.audio import write_wav
from softspoken.decoding import DecodingOptions, TargetSpeakerTranscriber
from softspoken.decoding.options import WindowOptions
from softspoken.engines import TorchEngine
from softspoken.errors import ConfigError, DataError
from softspoken.prompts import EnrolmentPrompt, FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts, save_prompts
from softspoken.speakers import EnrolmentStore
from softspoken_lab.analysis.clusters import ClusterOptions, find_clusters
from softspoken_lab.analysis.load import read_test_set
from softspoken_lab.analysis.removal import leave_each_out, remove_all
from softspoken_lab.analysis.subject import TestSet
from softspoken_lab.analysis.target_subject import TargetSpeakerSubject
from softspoken_lab.noise.testsets import TestUtterance

EMBEDDER = PitchEmbedder()
BACKBONE = tiny_backbone(5)
QUICK = DecodingOptions(
    start="any", temperatures=(0.0,), max_tokens=10, windows=WindowOptions(longest_s=3.0, search_s=1.0)
)
CONFIG = PromptConfig(
    encoder=StackPrompt(length=3),
    decoder=StackPrompt(length=2),
    speaker=SpeakerPrompt(dimension=EMBEDDER.dimension),
    frames=FramePrompt(),
)


def loaded(folder: Path, config: PromptConfig = CONFIG) -> LoadedPrompts:
    torch.manual_seed(0)
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    with torch.no_grad():
        for parameter in prompts.parameters():
            parameter.normal_(std=0.5)
    save_prompts(prompts, folder, backbone=BACKBONE, embedder=EMBEDDER.name)
    return load_prompts(folder, BACKBONE)


@pytest.fixture
def mixtures(tmp_path: Path) -> TestSet:
    rows = []
    for number, seconds in enumerate((2.0, 4.5, 2.5)):
        write_wav(tmp_path / f"mix{number}.wav", voice(seconds, 300.0, number) + voice(seconds, 900.0, number))
        write_wav(tmp_path / f"voice{number}.wav", voice(3.0, 300.0, 10 + number))
        text = "one two three" if number < 2 else ""
        rows.append({"id": str(number), "audio": f"mix{number}.wav", "enrolment": f"voice{number}.wav", "text": text})
    manifest = tmp_path / "items.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_test_set("mixtures", manifest)


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_a_variant_is_written_as_in_a_batch_of_its_own(tmp_path: Path, mixtures: TestSet, stack: str) -> None:
    subject = TargetSpeakerSubject(loaded(tmp_path / "p"), BACKBONE, EMBEDDER, stack, "p", QUICK)  # type: ignore[arg-type]
    curve = leave_each_out(subject, [mixtures])
    assert len(curve.left_out) == (3 if stack == "encoder" else 2)
    # The silent target has no words to get wrong.
    assert curve.sets[0].utterances == 2
    vectors = subject.vectors
    for number in range(1, vectors.shape[1] + 1):
        others = [index for index in range(vectors.shape[1]) if index + 1 != number]
        alone = subject.score(mixtures, [vectors[:, others]])
        assert alone.errors[0] == curve.counts["mixtures"].errors[number]


@pytest.mark.parametrize("hears", [False, True], ids=["voice", "voice and clip"])
def test_its_own_prompts_write_what_the_transcriber_writes(tmp_path: Path, mixtures: TestSet, hears: bool) -> None:
    heard = EnrolmentPrompt(clip_s=1.0) if hears else None
    prompts = loaded(tmp_path / "p", CONFIG.model_copy(update={"enrolment": heard}))
    subject = TargetSpeakerSubject(prompts, BACKBONE, EMBEDDER, options=QUICK)
    transcriber = TargetSpeakerTranscriber(
        TorchEngine(BACKBONE), prompts, EMBEDDER, EnrolmentStore(tmp_path / "voices.db")
    )
    for item in mixtures.items:
        expected = transcriber.transcribe(item.audio, voice_of(item), QUICK)  # type: ignore[union-attr]
        (text,) = subject._write(item, [subject.vectors])  # type: ignore[arg-type]
        assert text.split() == expected.text.split()


def voice_of(item: object) -> object:
    from softspoken.audio import load_audio

    return load_audio(item.enrolment)  # type: ignore[attr-defined]


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_all_vectors_of_a_stack_can_be_removed(tmp_path: Path, mixtures: TestSet, stack: str) -> None:
    config = CONFIG.model_copy(update={"speaker": SpeakerPrompt(dimension=8, into="encoder")})
    prompts = loaded(tmp_path / "p", config)
    subject = TargetSpeakerSubject(prompts, BACKBONE, EMBEDDER, stack, "p", QUICK)  # type: ignore[arg-type]
    before = {name: tensor.clone() for name, tensor in BACKBONE.module.state_dict().items()}
    found = remove_all(subject, [mixtures])
    assert found.none.prompts == ()
    assert found.subject.kind == "target-speaker"
    assert found.subject.stack == stack
    assert all(torch.equal(tensor, before[name]) for name, tensor in BACKBONE.module.state_dict().items())


def test_vectors_are_clustered_by_layer(tmp_path: Path) -> None:
    subject = TargetSpeakerSubject(loaded(tmp_path / "p"), BACKBONE, EMBEDDER)
    found = find_clusters(subject, ClusterOptions(clouds=0))
    assert [space.name for space in found.spaces] == ["all layers", *(f"layer {n}" for n in range(1, LAYERS + 1))]


def test_what_it_cannot_take_apart_is_refused(tmp_path: Path, mixtures: TestSet) -> None:
    config = CONFIG.model_copy(update={"decoder": None})
    prompts = loaded(tmp_path / "p", config)
    with pytest.raises(ConfigError, match="no decoder vectors"):
        TargetSpeakerSubject(prompts, BACKBONE, EMBEDDER, "decoder")
    subject = TargetSpeakerSubject(prompts, BACKBONE, EMBEDDER, options=QUICK)
    clean = TestSet("clean", (TestUtterance("a", Path("a.wav"), "words", "s"),))
    with pytest.raises(DataError, match="follows no voices"):
        subject.score(clean, [None])
    with pytest.raises(DataError, match="no target with words"):
        subject.score(TestSet("silent", mixtures.items[2:]), [None])
