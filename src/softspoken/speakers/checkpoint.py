"""PyTorch's `.pt` files without PyTorch: tensors as numpy arrays, and nothing else that a pickle could do.

Such a file is a zip archive: `data.pkl` says what there is, and every storage of numbers is a member of its own. The
pickle is never run. Its opcodes are read one by one (`pickletools.genops`); a fixed list of them builds dictionaries,
lists, tuples, numbers, texts and descriptions of tensors, and of names only those below are known. Whatever else is in
the file is refused. Numbers are mapped from the file, not copied.
"""

import hashlib
import math
import mmap
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from softspoken.errors import BackboneError
from softspoken.packages import PinnedPackage

Arrays = dict[str, np.ndarray]

_STORAGES: dict[str, np.dtype[Any]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch ByteStorage": np.dtype("u1"),
    "torch BoolStorage": np.dtype("?"),
}
_TENSOR, _DICT = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"
_NAMES = {_TENSOR, _DICT, *_STORAGES}
_VALUES = {"BINUNICODE", "BININT", "BININT1", "BININT2", "BINFLOAT"}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_LARGEST_PICKLE = 1 << 24
_LOCAL_HEADER = struct.Struct("<26xHH")
_DAMAGED = (
    *(OSError, zipfile.BadZipFile, ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error),
    *(NotImplementedError, RuntimeError, EOFError),
)
"""What damaged files make zipfile, pickletools and numpy raise."""


class _Mark:
    """Where a tuple, a list or pairs of a dictionary begin."""


class _Name(str):
    """One of the names that a pickle may say."""


def pinned_tensors(
    path: Path, package: PinnedPackage, sha256: str, what: str, pick: Callable[[Any], Any] = lambda kept: kept
) -> Arrays:
    """What `pick` takes out of a `.pt` file of `package`: tensors by name, read-only, mapped from the file.

    Raises BackboneError, with what to do, for a file that is no `what` checkpoint or holds other tensors than those
    of digest `sha256`.
    """
    advice = f"remove the file and try again, it is fetched from {package.name} {package.version}"
    try:
        tensors = pick(read_checkpoint(path))
        digest = tensors_sha256(tensors)
    except _DAMAGED as error:
        problem = " ".join(str(error).split())[:120] or type(error).__name__
        raise BackboneError(f"'{path}' is not a readable {what} checkpoint ({problem}): {advice}") from error
    if digest != sha256:
        raise BackboneError(f"'{path}' has tensors {digest[:12]}, expected {sha256[:12]}: {advice}")
    return dict(tensors)


def tensors_sha256(tensors: Arrays) -> str:
    """Digest of names, shapes and float32 values, in the order of the names."""
    if not isinstance(tensors, dict) or not all(isinstance(array, np.ndarray) for array in tensors.values()):
        raise ValueError("expected tensors by name")
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tensors[name].shape}".encode())
        digest.update(np.ascontiguousarray(tensors[name], np.float32).tobytes())
    return digest.hexdigest()


def read_checkpoint(path: Path) -> Any:
    """All that the file holds. ValueError, or another of what damaged files raise, for anything unknown."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        (pickled,) = (name for name in members if name.count("/") == 1 and name.endswith("/data.pkl"))
        folder = pickled.partition("/")[0]
        order = members.get(f"{folder}/byteorder")
        for info in (members[pickled], *([] if order is None else [order])):
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > _LARGEST_PICKLE:
                raise ValueError("its description is compressed or too large")
        if order is not None and archive.read(order).strip() != b"little":
            raise ValueError("its numbers are not little-endian")
        content = archive.read(pickled)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return _Reader(mapped, {name: info for name, info in members.items() if name != pickled}, folder).built(content)


class _Reader:
    """Builds what a pickle describes, with tensors that look into the mapped file."""

    def __init__(self, mapped: mmap.mmap, members: dict[str, zipfile.ZipInfo], folder: str) -> None:
        self._mapped, self._members, self._folder = mapped, members, folder
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._bytes = 0

    def built(self, pickled: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "STOP":
                break
            self._step(opcode.name, argument)
        (result,) = self._stack
        return result

    def _step(self, opcode: str, argument: Any) -> None:
        stack = self._stack
        if opcode in _VALUES:
            stack.append(argument)
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode]())
        elif opcode == "MARK":
            stack.append(_Mark())
        elif opcode == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif opcode in _TUPLES:
            stack.append(tuple(self._pop() for _ in range(_TUPLES[opcode]))[::-1])
        elif opcode in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif opcode in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif opcode == "GLOBAL":
            if argument not in _NAMES:
                raise ValueError(f"it names '{argument}', which no checkpoint needs")
            stack.append(_Name(argument))
        elif opcode == "BINPERSID":
            stack.append(self._storage(self._pop()))
        elif opcode == "REDUCE":
            given, name = self._pop(), self._pop()
            stack.append(self._called(name, given))
        elif opcode == "BUILD":
            # What torch notes of a state dictionary (versions of its parts) is left out.
            self._pop()
            _expect(stack[-1], dict)
        elif opcode != "PROTO":
            self._filled(opcode)

    def _filled(self, opcode: str) -> None:
        """Put items into the list or the dictionary below them."""
        if opcode not in ("SETITEM", "SETITEMS", "APPEND", "APPENDS"):
            raise ValueError(f"it uses the opcode {opcode}, which no checkpoint needs")
        several = opcode.endswith("S")
        count = 2 if opcode == "SETITEM" else 1
        items = self._since_mark() if several else [self._pop() for _ in range(count)][::-1]
        if opcode.startswith("APPEND"):
            _expect(self._stack[-1], list).extend(items)
            return
        target = _expect(self._stack[-1], dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise ValueError("a key is no text")
            target[key] = value

    def _called(self, name: Any, given: Any) -> Any:
        if not isinstance(name, _Name) or not isinstance(given, tuple):
            raise ValueError("it calls what cannot be called")
        if name == _DICT and given == ():
            return {}
        if name != _TENSOR:
            raise ValueError(f"it calls '{name}' with what no checkpoint gives it")
        storage, offset, shape, strides, *_ = given
        return self._tensor(storage, offset, shape, strides)

    def _tensor(self, storage: Any, offset: Any, shape: Any, strides: Any) -> np.ndarray:
        """A view of a storage that lies wholly within it; all views together are no larger than the file."""
        if not isinstance(storage, np.ndarray) or storage.ndim != 1 or len(shape) != len(strides):
            raise ValueError("a tensor without numbers")
        if not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides)):
            raise ValueError("a tensor's shape is none")
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        count = math.prod(shape)
        self._bytes += count * storage.itemsize
        if (count and last >= len(storage)) or self._bytes > len(self._mapped):
            raise ValueError("a tensor is larger than its numbers")
        if not count:
            return np.zeros(shape, storage.dtype)
        steps = [stride * storage.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)

    def _storage(self, described: Any) -> np.ndarray:
        """The numbers of ('storage', its type, its member, where it was, how many)."""
        kind, dtype, key, _, count = described
        if kind != "storage" or not isinstance(dtype, _Name) or type(count) is not int or count < 0:
            raise ValueError("a storage of unknown kind")
        info = self._members[f"{self._folder}/data/{key}"]
        numbers = _STORAGES[dtype]
        if info.compress_type != zipfile.ZIP_STORED or count * numbers.itemsize > info.file_size:
            raise ValueError(f"the storage {key} is cut off")
        name_size, extra_size = _LOCAL_HEADER.unpack_from(self._mapped, info.header_offset)
        begin = info.header_offset + _LOCAL_HEADER.size + name_size + extra_size
        storage: np.ndarray = np.frombuffer(self._mapped, numbers, count, begin)
        return storage

    def _pop(self) -> Any:
        if isinstance(self._stack[-1], _Mark):
            raise ValueError("its stack is mixed up")
        return self._stack.pop()

    def _since_mark(self) -> list[Any]:
        begin = max(index for index, item in enumerate(self._stack) if isinstance(item, _Mark))
        items = self._stack[begin + 1 :]
        del self._stack[begin:]
        return items


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"it fills a {type(value).__name__} like a {kind.__name__}")
    return value
