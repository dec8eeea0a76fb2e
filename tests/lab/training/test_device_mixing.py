"""Mixing on a device: the same draws give the waveforms, voices, scores and tokens of the processor's way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_campplus import CamPlusPlus, weights_of
from speech_folder import make_speech_folder
from tiny import TinyTokenizer

from softspoken.audio import write_audio
from softspoken.backbones.tokens import WhisperTokens
from softspoken.data.batches import Batch, collate
from softspoken.data.campplus_torch import TorchCamPlus
from softspoken.data.channels import ChannelConfig
from softspoken.data.config import MixingConfig
from softspoken.data.corpus import Corpus, cut_into_pieces
from softspoken.data.examples import MixtureDataset
from softspoken.data.manifest import read_manifest
from softspoken.errors import ConfigError, DataError
from softspoken.speakers import FrameScores
from softspoken_lab.training.device_mixing import DeviceMixer
from softspoken_lab.training.drawn import DrawnMixtures, draw_batch
from softspoken_lab.training.resident import SpeechTable, make_resident, read_all

WINDOW_S, HOP_S = 0.8, 0.4
MIXING = MixingConfig(
    talkers={1: 0.2, 2: 0.5, 3: 0.3}, max_s=8.0, noise_probability=0.5, telephone=0.3, timestamp_probability=0.5
)
ON = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")],
    ),
]


@pytest.fixture(scope="module")
def embedder() -> TorchCamPlus:
    torch.manual_seed(0)
    return TorchCamPlus(weights_of(CamPlusPlus()))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, embedder: TorchCamPlus) -> MixtureDataset:
    folder = tmp_path_factory.mktemp("speech")
    pieces = cut_into_pieces(read_manifest(make_speech_folder(folder, utterances=2, seconds=2.1)), 1.0, 9.0)
    # The last talker has one piece alone.
    pieces = [pieces[0], replace(pieces[1], start_s=0.5, duration_s=1.3), *pieces[2:7]]
    corpus = Corpus([each if speed == 1.0 else each.at_speed(speed) for speed in (1.0, 0.9) for each in pieces])
    noises = []
    for number, seconds in enumerate((1.0, 30.0)):
        noise = 0.05 * np.random.default_rng(number).standard_normal(round(16_000 * seconds)).astype(np.float32)
        path = folder / f"noise{number}.wav"
        write_audio(path, noise)
        noises.append((str(path), seconds))

    def scorer(audio, voices):
        return FrameScores.measure(embedder, audio, WINDOW_S, HOP_S).against(voices)

    texts = {piece.id: piece.text.title() for piece in pieces if piece is not pieces[1]}
    return MixtureDataset(corpus, texts, embedder.embed, scorer, MIXING, 3, 400, noises, clips=True, pool=8, batch=4)


def vocabulary() -> WhisperTokens:
    return WhisperTokens(TinyTokenizer(), TinyTokenizer().size)


def both(dataset: MixtureDataset, embedder: TorchCamPlus, device: str) -> tuple[Batch, Batch, SpeechTable]:
    """Six mixtures made on the processor, and the same ones on the device."""
    there = TorchCamPlus(embedder.weights, device)
    table, resident = make_resident(dataset, there.embed_all, torch.device(device), threads=2)
    chosen = range(6)
    drawn = draw_batch(
        [DrawnMixtures(dataset)[index] for index in chosen], table, vocabulary(), 50, WINDOW_S, HOP_S, clips=True
    )
    made = DeviceMixer(resident, there)(drawn.to(torch.device(device)))
    return collate([dataset[index] for index in chosen], vocabulary(), 50), made, table


@pytest.mark.parametrize("device", ON)
def test_the_same_draws_give_the_same_batch(dataset: MixtureDataset, embedder: TorchCamPlus, device: str) -> None:
    expected, made, _ = both(dataset, embedder, device)
    drawn = [dataset.drawn(index) for index in range(6)]
    assert any(mixture.noise for mixture, _ in drawn)
    assert any(mixture.telephone for mixture, _ in drawn)
    assert any(track.telephone for mixture, _ in drawn for track in mixture.tracks)
    assert any(target.track is None for _, targets in drawn for target in targets)
    assert made.texts == expected.texts
    assert made.speakers == expected.speakers
    for ours, theirs in ((made.audio, expected.audio), (made.clean, expected.clean)):
        for one, other in zip(ours, theirs, strict=True):
            assert one.shape == other.shape
            assert np.abs(one - other).max() < 5e-4
            assert np.abs(one - other).mean() < 3e-5
    enrolments = [target.enrolment for _, targets in drawn for target in targets]
    others = torch.tensor([enrolment.crop is None for enrolment in enrolments])
    voices, scores = made.voices.cpu(), made.scores.cpu()
    assert torch.nn.functional.cosine_similarity(voices, expected.voices)[others].min() > 0.999
    assert scores.shape == expected.scores.shape
    assert torch.equal(scores == -1, expected.scores == -1)
    assert (scores - expected.scores)[others].abs().max() < 0.02
    for one, other, known in zip(made.clips, expected.clips, others.tolist(), strict=True):
        if known:
            assert np.abs(one - other).max() < 1e-4
    unstamped = made.tokens.cpu() < vocabulary().timestamp_begin
    assert torch.equal(made.tokens.cpu()[unstamped], expected.tokens[unstamped])
    # A timestamp may be a frame off.
    assert (made.tokens.cpu() - expected.tokens).abs().max() <= 1
    assert (made.labels.cpu() - expected.labels).abs().max() <= 1


def test_a_lone_talker_is_enrolled_with_a_changed_crop(dataset: MixtureDataset, embedder: TorchCamPlus) -> None:
    _, _, table = both(dataset, embedder, "cpu")
    lone = [pieces[0] for pieces in dataset.corpus.by_speaker.values() if len(pieces) == 1]
    assert table.crops.keys() == {piece.id for piece in lone}
    for piece in lone:
        place, crop = table.places[piece.id], table.crops[piece.id]
        assert table.sizes[crop] < table.sizes[place]


def test_speech_that_was_read_once_is_read_from_its_file(
    dataset: MixtureDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "resident.safetensors"
    ordered, first = read_all(dataset, threads=1, file=file)
    monkeypatch.setattr(
        "softspoken_lab.training.resident.load_audio", lambda path: pytest.fail(f"'{path}' is read again")
    )
    again, stored = read_all(dataset, threads=1, file=file)
    assert again == ordered
    assert stored.keys() == first.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(stored[name], tensor, rtol=0, atol=0, equal_nan=True)


def test_a_file_of_other_speech_is_made_anew(dataset: MixtureDataset, tmp_path: Path) -> None:
    file = tmp_path / "resident.safetensors"
    fewer = MixtureDataset(
        Corpus(dataset.corpus.pieces[1:]), dataset.texts, dataset.embed, dataset.scorer, MIXING, 0, 1, dataset.noises
    )
    read_all(fewer, threads=1, file=file)
    ordered, stored = read_all(dataset, threads=1, file=file)
    assert len(ordered) == len(stored["sizes"]) > len(dataset.corpus.pieces) - 1


def test_a_damaged_file_of_speech_is_named(dataset: MixtureDataset, tmp_path: Path) -> None:
    file = tmp_path / "resident.safetensors"
    file.write_bytes(b"no tensors")
    with pytest.raises(DataError, match="cannot be read"):
        read_all(dataset, threads=1, file=file)


def test_what_only_the_processor_mixes_is_refused(dataset: MixtureDataset) -> None:
    rooms = MIXING.model_copy(update={"channels": ChannelConfig(probability=0.5)})
    other = MixtureDataset(dataset.corpus, dataset.texts, dataset.embed, dataset.scorer, rooms, 3, 4)
    with pytest.raises(ConfigError, match="channels"):
        DrawnMixtures(other)
