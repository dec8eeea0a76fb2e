"""Packed data: the same words and lengths in a fraction of the bytes; only the split asked for; goes on."""

import json

import numpy as np
import pytest
from speech_folder import make_speech_folder

from softspoken.audio import load_audio
from softspoken.data.corpus import cut_into_pieces
from softspoken.data.manifest import pack_manifest, read_manifest
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
