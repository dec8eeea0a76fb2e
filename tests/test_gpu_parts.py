"""Parts for a machine without a network: what comes out is what went in, none is too large, damage is noticed."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from gpu_parts import PartWriter, expanded, missing_parts, receive, restore_weights, squeezed


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_squeezed_bytes_come_back(width: int, size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    assert expanded(squeezed(content, width)) == content


def test_half_precision_weights_become_smaller() -> None:
    weights = np.random.default_rng(0).normal(0, 0.02, 100_000).astype(np.float16).tobytes()
    assert len(squeezed(weights, 2)) < 0.9 * len(weights)


def test_files_come_back_out_of_parts_of_the_size_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_parts.CHUNK_BYTES", 4000)
    rng = np.random.default_rng(0)
    files = {f"speech/{number}.opus": rng.bytes(900) for number in range(20)}
    weights = rng.normal(0, 0.02, 5001).astype(np.float16).tobytes()
    writer = PartWriter(tmp_path / "parts", 8000)
    for name, content in files.items():
        writer.add(name, content)
    writer.add_weights("cache/model.bin", weights, 2)
    sizes = writer.close()
    assert len(sizes) > 3
    assert max(sizes) <= 8000
    into = tmp_path / "there"
    assert missing_parts(into) == [1]
    order = sorted((tmp_path / "parts").iterdir(), key=lambda path: -int(path.name))
    for part in order[:-1]:
        receive(part, into)
    assert missing_parts(into) == [1]
    assert receive(order[-1], into) == (1, len(sizes))
    assert missing_parts(into) == []
    assert list(restore_weights(into)) == [into / "cache" / "model.bin"]
    assert (into / "cache" / "model.bin").read_bytes() == weights
    assert all((into / name).read_bytes() == content for name, content in files.items())


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    writer = PartWriter(tmp_path, 1000)
    writer.add("a.opus", bytes(100))
    writer.close()
    path = tmp_path / "1" / "part.zip"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="carry it over again"):
        receive(tmp_path / "1", tmp_path / "there")


def test_a_file_larger_than_a_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="larger parts"):
        PartWriter(tmp_path, 1000).add("a.opus", bytes(1000))
