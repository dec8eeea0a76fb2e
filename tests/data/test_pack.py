"""Packed data: the same words and lengths in a fraction of the bytes; only the split asked for; goes on."""

import json

import numpy as np
import pytest
from speech_folder import make_speech_folder
from tiny import tone

from softspoken.audio import load_audio, write_audio, write_wav
from softspoken.data.corpus import cut_into_pieces
from softspoken.data.manifest import pack_manifest, read_manifest, read_rows, write_rows
from softspoken.errors import DataError


def test_packed_speech_is_the_same_speech_and_smaller(tmp_path) -> None:
    manifest = make_speech_folder(tmp_path / "speech", talkers=2, utterances=1)
    packed = pack_manifest(manifest, tmp_path / "packed")
    before, after = (cut_into_pieces(read_manifest(path), 1.0, 9.0) for path in (manifest, packed))
    assert [(piece.id, piece.speaker, piece.text) for piece in after] == [(p.id, p.speaker, p.text) for p in before]
    for one, other in zip(before, after, strict=True):
        original, decoded = load_audio(one.path), load_audio(other.path)
        size = min(original.size, decoded.size)
        assert size >= original.size - 320
        levels = [np.abs(np.fft.rfft(x[:size])) for x in (original, decoded)]
        assert np.corrcoef(*levels)[0, 1] > 0.9
    sizes = [sum(file.stat().st_size for file in path.parent.rglob("s*")) for path in (manifest, packed)]
    assert sizes[1] < 0.5 * sizes[0]


def test_other_splits_stay_behind_and_packed_files_are_kept(tmp_path) -> None:
    manifest = make_speech_folder(tmp_path / "speech", talkers=2, utterances=1)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows[1]["split"] = "test"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    packed = pack_manifest(manifest, tmp_path / "packed")
    assert [file.name for file in sorted(packed.parent.rglob("*.opus"))] == ["s0-0.opus"]
    kept = packed.parent / "s0-0.opus"
    kept.write_bytes(b"packed before")
    pack_manifest(manifest, tmp_path / "packed")
    assert kept.read_bytes() == b"packed before"


def test_nothing_to_pack_is_one_line(tmp_path) -> None:
    manifest = make_speech_folder(tmp_path / "speech", talkers=1, utterances=1)
    with pytest.raises(DataError, match="no recording of split 'test'"):
        pack_manifest(manifest, tmp_path / "packed", split="test")
    with pytest.raises(DataError, match="no manifest"):
        pack_manifest(tmp_path / "none.jsonl", tmp_path / "packed")


def _manifest(folder, *paths: str):
    """One line for each path."""
    rows = ({"id": str(number), "split": "train", "path": path} for number, path in enumerate(paths))
    write_rows(folder / "manifest.jsonl", rows)
    return folder / "manifest.jsonl"


def test_recordings_from_elsewhere_lie_in_the_pack(tmp_path) -> None:
    source, out = tmp_path / "speech", tmp_path / "a" / "packed"
    source.mkdir()
    for name in ("speech/x.wav", "x.wav", "other.wav"):
        write_wav(tmp_path / name, tone(0.5))
    manifest = _manifest(source, "x.wav", str(source / "x.wav"), "../x.wav", str(tmp_path / "other.wav"))
    before = set(tmp_path.rglob("*"))
    paths = [row["path"] for _, row in read_rows(pack_manifest(manifest, out), "recording")]
    assert all((out / path).is_file() and (out / path).resolve().is_relative_to(out.resolve()) for path in paths)
    assert len(set(paths)) == 3
    assert {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(out)} == {out.parent}


@pytest.mark.parametrize(
    ("paths", "out", "words"),
    [
        (["x.wav", "x.flac"], "packed", "would both be"),
        (["x.wav"], ".", "is the folder of manifest.jsonl itself"),
        (["x.wav"], "x.wav", "cannot be made"),
        ([""], "packed", "no audio at"),
        (["gone.opus"], "packed", "no audio at"),
        (["x.wav", "/"], "packed", "no recording"),
    ],
)
def test_what_cannot_be_packed_is_refused_before_anything_is_written(tmp_path, paths, out, words) -> None:
    for name in ("x.wav", "x.flac"):
        write_audio(tmp_path / name, tone(0.5))
    manifest = _manifest(tmp_path, *paths)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DataError, match=words) as caught:
        pack_manifest(manifest, tmp_path / out)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
