"""Training utterances in noise: each piece once an epoch, the same index the same samples, wrong ones left out."""

import json

import numpy as np
import pytest
import torch
from noise_folder import make_noise_folder
from speech_folder import make_speech_folder
from torch.utils.data import DataLoader
from voices import voice

from softspoken.audio import write_audio
from softspoken.data.config import DataConfig
from softspoken.data.corpus import Corpus, cut_into_pieces, load_corpus
from softspoken.data.manifest import read_manifest
from softspoken.errors import ConfigError, DataError
from softspoken_lab.noise.bank import NoiseBank, read_noise
from softspoken_lab.noise.corruption import CorruptionConfig, apply_corruption
from softspoken_lab.noise.dataset import NoisyDataset, collate_ctc, fits_ctc

CONFIG = CorruptionConfig()


def encode(text: str) -> list[int]:
    if not set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ "):
        raise DataError(f"a character of '{text}' is not in the dictionary")
    return [ord(letter) - ord("A") + 2 if letter != " " else 1 for letter in text]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Nine pieces of different lengths, by three talkers."""
    folder = tmp_path_factory.mktemp("speech")
    manifest = make_speech_folder(folder, talkers=3)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["duration_s"] = 1.0 + 0.3 * ((4 * number) % 9)
        write_audio(folder / row["path"], voice(row["duration_s"], 200 + 50 * number, seed=number))
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Corpus(cut_into_pieces(read_manifest(manifest), 0.5, 9.0))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> NoiseBank:
    return read_noise(make_noise_folder(tmp_path_factory.mktemp("noise"), seconds=2.0), "train")


def test_every_piece_comes_once_an_epoch_in_another_order(corpus: Corpus, bank: NoiseBank) -> None:
    data = NoisyDataset(corpus, bank, CONFIG, seed=1, size=27)
    epochs = [[data[i].id for i in range(9 * epoch, 9 * epoch + 9)] for epoch in range(3)]
    assert all(sorted(epoch) == sorted(piece.id for piece in corpus.pieces) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len(NoisyDataset(corpus, bank, CONFIG, seed=1)) == 9
    assert [data[i].id for i in range(9)] != [NoisyDataset(corpus, bank, CONFIG, seed=2)[i].id for i in range(9)]


def test_the_same_index_gives_the_same_samples_in_any_order(corpus: Corpus, bank: NoiseBank) -> None:
    one, other = (NoisyDataset(corpus, bank, CONFIG, seed=3, size=60, pool=12, batch=3) for _ in range(2))
    forwards = [one[i] for i in range(60)]
    for index in np.random.default_rng(0).permutation(60)[:25]:
        again, first = other[int(index)], forwards[index]
        assert (again.id, again.text, again.corruption) == (first.id, first.text, first.corruption)
        np.testing.assert_array_equal(again.audio, first.audio)
    with pytest.raises(IndexError):
        one[60]


def test_an_item_is_its_piece_with_its_corruption(corpus: Corpus, bank: NoiseBank) -> None:
    data = NoisyDataset(corpus, bank, CONFIG, seed=4, size=40)
    pieces = {piece.id: piece for piece in corpus.pieces}
    items = [data[i] for i in range(40)]
    assert {item.corruption is None for item in items} == {True, False}
    for item in items:
        clean = corpus.audio(pieces[item.id])
        made = clean if item.corruption is None else apply_corruption(clean, item.corruption, bank)
        np.testing.assert_array_equal(item.audio, made)
        assert item.text == pieces[item.id].text
    # The same piece has another corruption in every epoch.
    again = [item.corruption for item in items if item.id == items[0].id and item.corruption is not None]
    assert len(set(again)) == len(again) > 1


def test_without_noise_the_speech_is_untouched(corpus: Corpus) -> None:
    item = NoisyDataset(corpus, None, CONFIG, seed=0)[0]
    assert item.corruption is None
    piece = next(piece for piece in corpus.pieces if piece.id == item.id)
    np.testing.assert_array_equal(item.audio, corpus.audio(piece))


def test_pools_change_the_order_alone_and_save_padding(corpus: Corpus, bank: NoiseBank) -> None:
    def padding(data: NoisyDataset) -> float:
        lengths = np.array([data.duration_s(i) for i in range(len(data))]).reshape(-1, 3)
        return float((lengths.max(axis=1, keepdims=True) - lengths).sum() / lengths.sum())

    plain = NoisyDataset(corpus, bank, CONFIG, seed=5, size=36)
    pooled = NoisyDataset(corpus, bank, CONFIG, seed=5, size=36, pool=18, batch=3)
    for first in (0, 18):
        drawn, dealt = (
            sorted((data[i].id, str(data[i].corruption)) for i in range(first, first + 18)) for data in (plain, pooled)
        )
        assert drawn == dealt
    assert padding(pooled) < 0.5 * padding(plain)
    starts = [pooled.duration_s(i) for i in range(0, 18, 3)]
    assert starts != sorted(starts)
    assert all(abs(pooled.duration_s(i) - pooled[i].audio.size / 16_000) < 1e-3 for i in range(36))


def test_a_last_pool_that_is_not_full_deals_out_everything_once(corpus: Corpus, bank: NoiseBank) -> None:
    data = NoisyDataset(corpus, bank, CONFIG, seed=6, size=9, pool=6, batch=2)
    assert sorted(data[i].id for i in range(9)) == sorted(piece.id for piece in corpus.pieces)
    with pytest.raises(ConfigError, match="give 1 or more of both"):
        NoisyDataset(corpus, bank, CONFIG, seed=6, pool=0)


def test_what_cannot_be_learned_is_left_out_and_counted(tmp_path) -> None:
    manifest = make_speech_folder(tmp_path, talkers=2, utterances=3, seconds=1.0)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows[0]["text"] = None
    rows[1]["text"] = "  "
    rows[2]["text"] = "CHAPTER 12"
    rows[3]["transcript_verified"] = False
    rows[4]["text"] = "TOO MANY LETTERS TO BE SAID IN A SINGLE SECOND OF SPEECH"
    rows[5] |= {"text": " good day ", "transcript_verified": True}
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = Corpus(cut_into_pieces(read_manifest(manifest), 0.5, 9.0))

    def upper(text: str) -> str:
        return text.strip().upper()

    data = NoisyDataset(corpus, None, CONFIG, seed=0, normalise=upper, accept=fits_ctc(encode))
    assert (len(data), data.left_out, data[0].text) == (1, 5, "GOOD DAY")
    with pytest.raises(DataError, match="none of 6 pieces of speech has a transcript"):
        NoisyDataset(corpus, None, CONFIG, seed=0, accept=lambda text, duration_s: False)


def test_frames_must_hold_all_labels_and_blanks_between_equal_ones() -> None:
    accept = fits_ctc(encode, frames_per_s=10.0)
    assert accept("ABCDEFGHI", 1.0)
    assert not accept("AABBCDEFG", 1.0)
    assert accept("AABBCDEFG", 1.2)
    assert not accept("A1", 9.0)


def test_noise_of_the_configured_kinds_must_be_there(corpus: Corpus, bank: NoiseBank) -> None:
    with pytest.raises(DataError, match="no noise recording is other"):
        NoisyDataset(corpus, bank, CorruptionConfig(types=("other",)), seed=0)


def test_one_talker_is_enough_and_test_talkers_never_train(tmp_path, bank: NoiseBank) -> None:
    manifest = make_speech_folder(tmp_path, talkers=4, utterances=2)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for row in rows:
        row["split"] = "train" if row["speaker"] == "s1" else "test" if row["speaker"] == "s2" else "development"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = load_corpus(DataConfig(speech=(manifest,), speeds=(0.9, 1.0)))
    data = NoisyDataset(corpus, bank, CONFIG, seed=0, size=20)
    assert {data[i].id for i in range(20)} == {"s1-0-0@0.9", "s1-1-0@0.9", "s1-0-0", "s1-1-0"}


def test_a_batch_has_its_labels_padded_with_the_blank(corpus: Corpus, bank: NoiseBank) -> None:
    data = NoisyDataset(corpus, bank, CONFIG, seed=8)
    items = [data[i] for i in range(4)]
    batch = collate_ctc(items, encode)
    assert batch.labels.shape == (4, max(len(item.text) for item in items))
    for row, length, item in zip(batch.labels, batch.label_lengths, items, strict=True):
        assert row[:length].tolist() == encode(item.text)
        assert not row[length:].any()
    assert batch.texts == [item.text for item in items]
    assert batch.ids == [item.id for item in items]
    moved = batch.to(torch.device("meta"))
    assert moved.labels.device.type == moved.label_lengths.device.type == "meta"
    assert moved.audio is batch.audio
    loader = DataLoader(data, 4, collate_fn=lambda group: collate_ctc(group, encode))
    assert sum(len(group.texts) for group in loader) == 9
