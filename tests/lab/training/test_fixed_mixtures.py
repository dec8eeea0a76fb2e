"""Training on a corpus's own mixtures: every one once a round, its targets with other speech of theirs."""

import json
from pathlib import Path

import numpy as np
import pytest
from mixture_folders import make_librimix
from speech_folder import make_speech_folder
from tiny import TinyTokenizer
from voices import PitchEmbedder

from softspoken.audio import load_audio
from softspoken.backbones.tokens import WhisperTokens
from softspoken.data.batches import collate
from softspoken.data.config import MixingConfig
from softspoken.data.corpus import Corpus, cut_into_pieces
from softspoken.data.manifest import read_manifest
from softspoken.errors import DataError
from softspoken.speakers import FrameScores
from softspoken.training.config import ObjectiveConfig
from softspoken_lab.corpora.mixture_corpus import MixtureOptions
from softspoken_lab.corpora.prepare_mixtures import prepare_mixtures
from softspoken_lab.training.config import StudyData, StudyTrainConfig
from softspoken_lab.training.datasets import training_data
from softspoken_lab.training.fixed_mixtures import FixedMixtures, read_fixed_mixtures


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the parts 'train-100' and 'test', a silent target in each mixture."""
    root = tmp_path_factory.mktemp("librimix")
    options = MixtureOptions(silent_per_mixture=1)
    list(prepare_mixtures("librimix", make_librimix(root), root / "out", ["train-100", "test"], options))
    return root / "out"


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_speech_folder(tmp_path_factory.mktemp("speech"), talkers=3, utterances=1)


@pytest.fixture
def manifest(prepared: Path) -> Path:
    return prepared / "train-100" / "manifest.jsonl"


def dataset(manifest: Path, speech: Path, size: int = 8, **changes) -> FixedMixtures:
    embedder = PitchEmbedder()
    corpus = Corpus(cut_into_pieces(read_manifest(speech), 2.0, 9.0))
    texts = {piece.id: piece.text for piece in corpus.pieces}

    def scorer(audio, voices):
        return FrameScores.measure(embedder, audio, 0.8, 0.2).against(voices)

    return FixedMixtures(manifest, corpus, texts, embedder.embed, scorer, MixingConfig(), 3, size, **changes)


def rewritten(manifest: Path, to: Path, **changes: object) -> Path:
    """A copy in another folder, with absolute paths and other values; None takes a field away."""
    lines = []
    for line in manifest.read_text().splitlines():
        row = {key: value for key, value in (json.loads(line) | changes).items() if value is not None}
        lines.append(json.dumps(row) + "\n")
    to.write_text("".join(lines))
    return to


def test_a_target_is_heard_alone_and_in_the_mixture(manifest: Path, speech: Path) -> None:
    for index in range(2):
        one, other, silent = dataset(manifest, speech)[index]
        assert one.audio is other.audio is silent.audio
        np.testing.assert_allclose(one.clean + other.clean, one.audio, atol=1e-4)
        assert one.text
        assert other.text != one.text
        assert (silent.text, silent.clean.any()) == ("", np.False_)
        assert len({example.speaker for example in (one, other, silent)}) == 3
        assert not any(example.timestamps for example in (one, other, silent))
        assert {example.scores.size for example in (one, other, silent)} == {int(np.ceil(one.audio.size / 320))}


def test_a_voice_is_that_of_the_enrolment_list(manifest: Path, speech: Path) -> None:
    (example, *_) = dataset(manifest, speech, clips=True)[0]
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    (row,) = [row for row in rows if row["target"] == example.speaker and row["text"] == example.text]
    clip = np.concatenate([load_audio(manifest.parent / name) for name in row["enrolment"]])
    np.testing.assert_array_equal(example.clip, clip)
    np.testing.assert_allclose(example.voice, PitchEmbedder().embed(clip), rtol=1e-6)
    assert dataset(manifest, speech)[0][0].clip is None


def test_every_mixture_comes_once_a_round_and_the_same_again(manifest: Path, speech: Path) -> None:
    data = dataset(manifest, speech)
    texts = [tuple(example.text for example in data[index]) for index in range(8)]
    assert len(data) == 8
    assert all(set(texts[start : start + 2]) == set(texts[:2]) for start in (2, 4, 6))
    assert len(set(texts)) == 2
    assert [tuple(example.text for example in dataset(manifest, speech)[index]) for index in (5, 0)] == [
        texts[5],
        texts[0],
    ]


def test_mixtures_of_talkers_put_aside_are_left_out(manifest: Path, speech: Path) -> None:
    # 1034 speaks in the first mixture and is asked for, silent, in the second.
    with pytest.raises(DataError, match="all of its 2 training mixtures are over 30 s or have talkers put aside"):
        dataset(manifest, speech, put_aside=frozenset({"librispeech_train-clean-100:1034"}))
    assert len(dataset(manifest, speech, put_aside=frozenset({"made:s0"})).mixtures) == 2


def test_examples_become_a_batch(manifest: Path, speech: Path) -> None:
    data = dataset(manifest, speech, pool=4, batch=2)
    batch = collate([data[0], data[1]], WhisperTokens(TinyTokenizer(), TinyTokenizer().size), max_tokens=50)
    assert len(batch.texts) == 6
    assert batch.texts.count("") == 2


def test_test_mixtures_never_train(prepared: Path, speech: Path) -> None:
    with pytest.raises(DataError, match="has no mixtures of split 'train'"):
        dataset(prepared / "test" / "manifest.jsonl", speech)


def test_what_cannot_be_used_is_refused(manifest: Path, speech: Path, tmp_path) -> None:
    with pytest.raises(DataError, match=r"manifest.jsonl:1: no 'target'; write it with"):
        read_fixed_mixtures(rewritten(manifest, tmp_path / "manifest.jsonl", target=None))
    with pytest.raises(DataError, match=r":1: no file '.*gone.wav'; find all .*'softspoken-lab check'"):
        read_fixed_mixtures(rewritten(manifest, tmp_path / "manifest.jsonl", clean="gone.wav"))
    with pytest.raises(DataError, match="an empty 'enrolment'"):
        read_fixed_mixtures(rewritten(manifest, tmp_path / "manifest.jsonl", enrolment=[]))
    with pytest.raises(DataError, match="over 30 s"):
        dataset(rewritten(manifest, tmp_path / "manifest.jsonl", duration_s=31.0), speech)


def test_a_teacher_needs_the_target_alone(manifest: Path, speech: Path, tmp_path) -> None:
    without = rewritten(manifest, tmp_path / "manifest.jsonl", clean=None)
    with pytest.raises(DataError, match="has targets without 'clean', which this objective needs"):
        dataset(without, speech, need_clean=True)
    assert not dataset(without, speech)[0][0].clean.any()


def test_a_recipe_takes_the_corpus_s_own_mixtures(manifest: Path, speech: Path, tmp_path) -> None:
    data = StudyData(speech=(speech,), mixtures=manifest)
    config = StudyTrainConfig(data=data, steps=3, mixtures_per_batch=2)
    found = training_data(config, PitchEmbedder())
    assert isinstance(found, FixedMixtures)
    assert (len(found), len(found[5])) == (6, 3)
    without = StudyData(speech=(speech,), mixtures=rewritten(manifest, tmp_path / "manifest.jsonl", clean=None))
    taught = StudyTrainConfig(data=without, objective=ObjectiveConfig(states=1.0))
    with pytest.raises(DataError, match="which this objective needs"):
        training_data(taught, PitchEmbedder())
