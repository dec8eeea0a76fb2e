"""The reader of `.pt` files: PyTorch's tensors, nothing is executed, and damage is only ever our own error."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from softspoken.errors import BackboneError
from softspoken.packages import PinnedPackage
from softspoken.speakers.checkpoint import pinned_tensors, read_checkpoint, tensors_sha256

PACKAGE = PinnedPackage("package", "1.0", "0" * 64)


def content() -> dict[str, object]:
    """A state dictionary and more, as checkpoints have it."""
    torch.manual_seed(0)
    state = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5)).state_dict()
    assert isinstance(state, OrderedDict)
    matrix = torch.randn(4, 6)
    state["turned"], state["part"], state["none"] = matrix.T, matrix[1:3, 2:], torch.zeros(0, 3)
    state["number"], state["half"] = torch.tensor(3.5), torch.randn(3).half()
    state["whole"], state["bytes"], state["said"] = torch.arange(5), torch.arange(3).byte(), torch.tensor([True, False])
    return {"state_dict": state, "settings": {"name": "x", "sizes": [1, (2, 3), -4, 70_000], "rate": 0.5, "no": None}}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.save(content(), tmp_path / "made.pt")
    return tmp_path / "made.pt"


def read(path: Path) -> dict[str, np.ndarray]:
    return pinned_tensors(path, PACKAGE, "0" * 64, "made-up", lambda kept: kept["state_dict"])


def test_what_pytorch_wrote_is_read(checkpoint: Path) -> None:
    found, wanted = read_checkpoint(checkpoint), content()
    assert found["settings"] == wanted["settings"]
    assert list(found["state_dict"]) == list(wanted["state_dict"])  # type: ignore[call-overload]
    for name, tensor in wanted["state_dict"].items():  # type: ignore[attr-defined]
        array = found["state_dict"][name]
        assert array.shape == tuple(tensor.shape)
        np.testing.assert_array_equal(array, tensor.numpy())
        assert not array.size or not array.flags.writeable


def test_the_digest_tells_names_shapes_and_numbers(checkpoint: Path) -> None:
    tensors = read_checkpoint(checkpoint)["state_dict"]
    digest = tensors_sha256(tensors)
    found = pinned_tensors(checkpoint, PACKAGE, digest, "made-up", lambda kept: kept["state_dict"])
    assert found.keys() == tensors.keys()
    changed = [{**tensors, "new": tensors["number"]}, {**tensors, "number": np.asarray(4.5)}]
    changed.append({**tensors, "turned": tensors["turned"].reshape(4, 6)})
    assert digest not in [tensors_sha256(each) for each in changed]
    with pytest.raises(BackboneError, match="expected 000000000000: remove the file"):
        read(checkpoint)


def rewritten(path: Path, pickled: bytes | None = None, **members: bytes | None) -> Path:
    """The checkpoint with another pickle or other members; None removes one."""
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    folder = next(iter(kept)).partition("/")[0]
    if pickled is not None:
        kept[f"{folder}/data.pkl"] = pickled
    changed = {f"{folder}/{name.replace('_', '/')}": data for name, data in members.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**kept, **changed}.items():
            if data is not None:
                archive.writestr(name, data)
    return path


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.sprung}",)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_executed(protocol: int, checkpoint: Path, tmp_path: Path) -> None:
    trap = pickle.dumps({"state_dict": Trap(tmp_path / "sprung")}, protocol=protocol)
    with pytest.raises(BackboneError, match="not a readable made-up checkpoint") as error:
        read(rewritten(checkpoint, trap))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"cos\nsystem\n.",
        b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02ccollections\nOrderedDict\nX\x01\x00\x00\x00a\x85R.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00)))tR.",
        b"\x80\x02}]K\x01s.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02K\x01b.",
        b"\x80\x02(K\x01.",
        b"\x80\x02h\x07.",
        b"\x80\x020.",
        b"\x80\x02t.",
        b"\x80\x02",
        b"",
    ],
)
def test_pickles_that_no_checkpoint_needs_are_refused(pickled: bytes, checkpoint: Path) -> None:
    with pytest.raises(BackboneError, match="not a readable made-up checkpoint"):
        read(rewritten(checkpoint, pickled))


def described(size: str, stride: str, offset: int = 0, count: int = 4) -> bytes:
    """A pickle of one tensor over the storage "0" of 32-bit numbers; `size` and `stride` in opcodes."""
    storage = f"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK{chr(count)}tQ"
    return (
        f"\x80\x02}}X\x0a\x00\x00\x00state_dict}}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n"
        f"({storage}K{chr(offset)}{size}{stride}\x89ccollections\nOrderedDict\n)RtRss."
    ).encode("latin-1")


def test_tensors_stay_within_their_numbers(checkpoint: Path) -> None:
    numbers = np.arange(4, dtype="<f4").tobytes()
    good = read_checkpoint(rewritten(checkpoint, described("K\x02K\x02\x86", "K\x02K\x01\x86"), data_0=numbers))
    np.testing.assert_array_equal(good["state_dict"]["a"], [[0, 1], [2, 3]])
    for bad in (
        described("K\x02K\x02\x86", "K\x03K\x01\x86"),
        described("K\x02K\x02\x86", "K\x02K\x01\x86", offset=1),
        described("K\x04\x85", "K\x01\x85", count=200),
        described("J\xff\xff\xff\xff\x85", "K\x01\x85"),
        described("K\x02\x85", "J\xff\xff\xff\xff\x85"),
        described("K\x02\x85", "K\x01K\x01\x86"),
        described("G?\xf0\x00\x00\x00\x00\x00\x00\x85", "K\x01\x85"),
        # A billion numbers out of one.
        described("J\x00\xca\x9a;\x85", "K\x00\x85"),
    ):
        with pytest.raises(BackboneError, match="not a readable made-up checkpoint"):
            read(rewritten(checkpoint, bad, data_0=numbers))


@pytest.mark.parametrize(("name", "data"), [("byteorder", b"big"), ("data_0", None), ("data_0", b"\0")])
def test_other_members_are_refused(name: str, data: bytes | None, checkpoint: Path) -> None:
    with pytest.raises(BackboneError, match="not a readable made-up checkpoint"):
        read(rewritten(checkpoint, **{name: data}))


def test_compressed_archives_are_refused(checkpoint: Path) -> None:
    """PyTorch writes none, and numbers that are compressed cannot be mapped."""
    with zipfile.ZipFile(checkpoint) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(checkpoint, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in kept.items():
            archive.writestr(name, data)
    with pytest.raises(BackboneError, match="not a readable made-up checkpoint"):
        read(checkpoint)


@pytest.mark.parametrize("data", [b"", b"PK\5\6" + b"\0" * 18, b"not a checkpoint" * 100])
def test_files_that_are_none_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "none.pt").write_bytes(data)
    with pytest.raises(BackboneError, match="not a readable made-up checkpoint"):
        read(tmp_path / "none.pt")
    with pytest.raises(BackboneError, match="not a readable made-up checkpoint"):
        read(tmp_path / "absent.pt")


@pytest.mark.parametrize("where", ["file", "pickle"])
def test_damaged_files_raise_our_own_error_alone(where: str, tmp_path: Path) -> None:
    """Bytes changed, left out, doubled and moved, anywhere in the file and anywhere in its pickle."""
    file = io.BytesIO()
    torch.save(content(), file)
    whole, path, rng = file.getvalue(), tmp_path / "damaged.pt", np.random.default_rng(0)
    with zipfile.ZipFile(file) as archive:
        pickled = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    for _ in range(400):
        changed = mutated(whole if where == "file" else pickled, rng)
        path.write_bytes(changed if where == "file" else whole)
        if where == "pickle":
            rewritten(path, changed)
        # Nothing is asserted but the kind of error: damage that hits no number's value is no damage.
        with pytest.raises(BackboneError):
            read(path)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        begin = int(rng.integers(len(changed)))
        end = min(begin + int(rng.integers(1, 9)), len(changed))
        way = rng.integers(4)
        if way == 0:
            changed[begin:end] = rng.bytes(end - begin)
        elif way == 1:
            del changed[begin:end]
        elif way == 2:
            changed[begin:begin] = changed[begin:end]
        else:
            changed[begin] ^= 1 << int(rng.integers(8))
        changed = changed or bytearray(b"\0")
    return bytes(changed)
