"""Shards: what goes in comes out, on any store; mixtures of them depend on their number alone; memory stays flat."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from speech_folder import make_speech_folder
from torch.utils.data import DataLoader
from voices import PitchEmbedder

from softspoken.data.config import MixingConfig, ShardConfig
from softspoken.data.corpus import Corpus, cut_into_pieces
from softspoken.data.examples import MixtureDataset
from softspoken.data.manifest import read_manifest
from softspoken.data.shards import list_shards, read_shard, write_shards
from softspoken.data.streaming import HeldShard, ShardedMixtures
from softspoken.errors import DataError
from softspoken.training.processes import Shares

EMBEDDER = PitchEmbedder()
BATCH = 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    manifest = make_speech_folder(tmp_path_factory.mktemp("speech"), talkers=12, utterances=5, seconds=1.2)
    return Corpus(cut_into_pieces(read_manifest(manifest), 1.0, 9.0))


@pytest.fixture(scope="module")
def folder(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = str(tmp_path_factory.mktemp("shards"))
    texts = {piece.id: f"Heard {piece.id}" for piece in corpus.pieces}
    assert len(write_shards(corpus, texts, place, size=6, together=3)) == 9
    return place


def no_scores(audio: np.ndarray, voices: np.ndarray) -> np.ndarray:
    return np.zeros((voices.shape[0], len(audio) // 320), np.float32)


def mixtures(folder: str, size: int = 240, **changes: object) -> ShardedMixtures:
    config = ShardConfig(**{"folders": (folder,), "lanes": 2, "held": 3, "mixtures": 8} | changes)

    def make(corpus, texts, mixing, seed, size):
        chosen = (corpus, texts, EMBEDDER.embed, no_scores, mixing, seed, size)
        return MixtureDataset(*chosen, pool=8, batch=BATCH)

    return ShardedMixtures(config, (0.9, 1.0), MixingConfig(max_s=3.0), make, seed=5, size=size, batch=BATCH)


def test_what_goes_in_comes_out(corpus: Corpus, folder: str) -> None:
    shards = [read_shard(name) for name in list_shards([folder])]
    found = {piece.id: piece for shard in shards for piece in shard.pieces}
    assert found.keys() == {piece.id for piece in corpus.pieces}
    for shard in shards:
        held = HeldShard(shard)
        for piece in shard.pieces:
            before = next(one for one in corpus.pieces if one.id == piece.id)
            assert (piece.speaker, piece.path, piece.text) == (before.speaker, before.path, f"Heard {piece.id}")
            audio = corpus.audio(before)
            # Twice: decoded, and kept.
            assert all(np.abs(held.audio(piece.id) - audio).max() < 1e-4 for _ in range(2))
    # Nobody is alone in a shard, so that another piece can enrol.
    for shard in shards:
        speakers = [piece.speaker for piece in shard.pieces]
        assert min(speakers.count(name) for name in speakers) >= 2


def test_lhotse_reads_them_and_they_are_read_from_lhotse(corpus: Corpus, folder: str, tmp_path: Path) -> None:
    from lhotse import CutSet
    from lhotse.shar import SharWriter

    cuts = list(CutSet.from_shar(in_dir=folder))
    pieces = {piece.id: piece for piece in corpus.pieces}
    assert {cut.id for cut in cuts} == pieces.keys()
    for cut in cuts[:8]:
        assert cut.supervisions[0].speaker == pieces[cut.id].speaker
        assert np.abs(cut.load_audio()[0] - corpus.audio(pieces[cut.id])).max() < 1e-4
    with SharWriter(str(tmp_path), fields={"recording": "flac"}, shard_size=20) as writer:
        for cut in cuts:
            # lhotse notes there where it read a cut, and cannot write that.
            cut.custom = None
            writer.write(cut)
    theirs = [piece for name in list_shards([str(tmp_path)]) for piece in read_shard(name).pieces]
    assert [(one.id, one.speaker, one.text) for one in theirs] == [
        (cut.id, cut.supervisions[0].speaker, cut.supervisions[0].text) for cut in cuts
    ]


def test_stores_hold_the_same_shards(corpus: Corpus, folder: str, tmp_path: Path) -> None:
    texts = {piece.id: f"Heard {piece.id}" for piece in corpus.pieces}
    for url in ("memory://speech", f"file://{tmp_path}/speech"):
        write_shards(corpus, texts, url, size=6, together=3)
        here, there = (list_shards([place]) for place in (folder, url))
        assert len(here) == len(there)
        for one, other in zip(here, there, strict=True):
            assert read_shard(one).sounds == read_shard(other).sounds
            assert read_shard(one).pieces == read_shard(other).pieces


def test_an_object_store_holds_the_same_shards(corpus: Corpus, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moto, s3fs = pytest.importorskip("moto.server"), pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    try:
        address, port = server.get_host_and_port()
        for name, value in (
            *(("AWS_ACCESS_KEY_ID", "made"), ("AWS_SECRET_ACCESS_KEY", "up"), ("AWS_DEFAULT_REGION", "us-east-1")),
            ("AWS_ENDPOINT_URL", f"http://{address}:{port}"),
        ):
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("speech")
        write_shards(corpus, {piece.id: "Yes." for piece in corpus.pieces}, "s3://speech/made", size=6, together=3)
        here, there = (list_shards([place]) for place in (folder, "s3://speech/made"))
        assert [read_shard(one).sounds for one in here] == [read_shard(one).sounds for one in there]
        loaded = [item for batch in loader(mixtures("s3://speech/made", 8), 2, 0, 1) for item in batch]
        here = mixtures(folder, 8)
        assert len(loaded) == 8
        assert all(np.array_equal(item[0].audio, here[index][0].audio) for index, item in enumerate(loaded))
    finally:
        server.stop()


def test_an_interrupted_packing_goes_on(corpus: Corpus, folder: str, tmp_path: Path) -> None:
    place = str(tmp_path)
    names = write_shards(corpus, {}, place, size=6, together=3)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    Path(names[3]).unlink()
    (tmp_path / "recording.000003.tar").write_bytes(b"half")
    kept = (tmp_path / "recording.000002.tar").stat().st_mtime_ns
    assert write_shards(corpus, {}, place, size=6, together=3) == names
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert (tmp_path / "recording.000002.tar").stat().st_mtime_ns == kept


def as_numbers(examples) -> list[tuple[object, ...]]:
    return [(e.speaker, e.text, e.timestamps, e.audio.tobytes(), e.voice.tobytes()) for e in examples]


def loader(dataset: ShardedMixtures, workers: int, process: int, processes: int, first: int = 0):
    shares = Shares(BATCH, first, len(dataset) // BATCH, process, processes)
    return DataLoader(dataset, batch_sampler=shares, num_workers=workers, collate_fn=lambda items: items)


def test_the_order_is_the_same_for_any_workers_and_processes_and_after_a_resume(folder: str) -> None:
    size = 32
    alone = [as_numbers(mixtures(folder, size)[index]) for index in range(size)]
    for workers, processes, first in ((2, 1, 0), (0, 2, 3), (1, 3, 5)):
        found: dict[int, object] = {}
        for process in range(processes):
            batches = loader(mixtures(folder, size), workers, process, processes, first)
            for items, places in zip(batches, batches.batch_sampler, strict=True):
                found |= {place: as_numbers(item) for item, place in zip(items, places, strict=True)}
        assert found == dict(enumerate(alone[first * BATCH :], start=first * BATCH))
    assert len({str(item) for item in alone}) == size


def test_everybody_is_heard_and_enrols_with_something_else(corpus: Corpus, folder: str) -> None:
    dataset = mixtures(folder, 120)
    heard = {example.speaker for index in range(len(dataset)) for example in dataset[index]}
    assert {name.partition("@")[0] for name in heard} == set(corpus.speakers)
    for number in range(4):
        window = dataset.window(0, number)
        for index in range(len(window)):
            mixture, targets = window.drawn(index)
            for target in targets:
                if target.track is not None:
                    spoken = mixture.tracks[target.track].piece
                    assert target.enrolment.crop is None
                    assert all(piece.speaker == spoken.speaker for piece in target.enrolment.pieces)
                    assert all(piece.path != spoken.path for piece in target.enrolment.pieces)


def test_no_more_shards_are_held_than_asked_for(folder: str) -> None:
    dataset, seen = mixtures(folder, size=120), {}
    for index in range(0, 120, 4):
        dataset[index]
        assert all(len(held) <= 3 for held in dataset._held)
        seen |= {id(shard): shard for held in dataset._held for shard in held.values()}
    # What has left is empty, whoever still refers to it.
    assert sum(bool(shard.read.sounds or shard._decoded) for shard in seen.values()) <= 6 < len(seen)


@pytest.mark.parametrize("harm", ["cut off", "other order", "gone", "no cuts"])
def test_what_is_no_shard_is_one_line(corpus: Corpus, tmp_path: Path, harm: str) -> None:
    write_shards(corpus, {}, str(tmp_path), size=100)
    cuts, tar = tmp_path / "cuts.000000.jsonl.gz", tmp_path / "recording.000000.tar"
    rows = gzip.decompress(cuts.read_bytes()).decode().splitlines()
    if harm == "cut off":
        tar.write_bytes(tar.read_bytes()[:70_000])
    elif harm == "other order":
        cuts.write_bytes(gzip.compress("\n".join(rows[::-1]).encode()))
    elif harm == "gone":
        tar.unlink()
    else:
        cuts.write_bytes(gzip.compress(json.dumps({"id": "x"}).encode()))
    with pytest.raises(DataError, match=r"shard|expected") as caught:
        read_shard(list_shards([str(tmp_path)])[0])
    assert "\n" not in str(caught.value)


def test_nothing_there_and_no_such_store_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no shards in"):
        list_shards([str(tmp_path)])
    with pytest.raises(DataError, match="a URL that fsspec knows"):
        list_shards(["nowhere://speech"])
