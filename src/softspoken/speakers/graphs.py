"""Small networks on OpenVINO: built from arrays, compiled once for this processor, kept in the user's cache.

OpenVINO is imported where a network is made: what learns imports this too, and may run where there is none.
"""

import hashlib
import os
import queue
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock

from softspoken.errors import BackboneError
from softspoken.files import replacing
from softspoken.openvino_core import openvino_core
from softspoken.packages import cache_folder

Precision = Literal["float32", "bfloat16", "int8"]

LAYOUT = 1
"""Raised whenever a graph that is kept changes: older ones are then made anew."""
THREADS_VARIABLE = "OMP_NUM_THREADS"
_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
_WORTH_INT8 = 0.6
"""int8 moves scores three times as far as bfloat16: it has to take so much less of its time."""
_ROUNDS = 5
_SAMPLES: tuple[tuple[Precision, float | None], ...] = (("bfloat16", None), ("int8", 1.0))


class Graph:
    """One compiled network; several threads may run it at once. It is made on the first call.

    A process that was forked from one in which OpenVINO has worked already cannot compile any more: call it before.
    """

    def __init__(self, build: Callable[[], Any], precision: Precision = "float32", kept: str | None = None) -> None:
        """`build` makes the `openvino.Model`. `kept`: a name that stands for all of its numbers, under which the
        compiled network is kept in the user's cache; None: it is not.
        """
        self._build, self._precision, self._kept = build, precision, kept
        self._making = threading.Lock()
        self._compiled: Any = None
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs, which are the caller's."""
        with self._making:
            if self._compiled is None:
                self._compiled = self._made()
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            found = request.infer([np.ascontiguousarray(array) for array in inputs], share_inputs=True)
            return [found[index].copy() for index in range(len(self._compiled.outputs))]
        finally:
            self._idle.put(request)

    def _made(self) -> Any:
        settings = settings_for(self._precision)
        if self._kept is None:
            return _compile(self._build(), settings)
        path = processor_folder() / f"{self._kept}-{self._precision}.blob"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                return _read(path, settings) or _written(path, _compile(self._build(), settings))
        except OSError:
            # What cannot be kept is made anew every time.
            return _compile(self._build(), settings)


def _compile(model: Any, settings: dict[str, Any]) -> Any:
    try:
        return openvino_core().compile_model(model, "CPU", settings)
    except RuntimeError as error:
        problem = str(error).strip().splitlines()[-1][:200]
        raise BackboneError(f"OpenVINO cannot run '{model.friendly_name}' here ({problem}); update openvino") from error


def _read(path: Path, settings: dict[str, Any]) -> Any:
    """The compiled network; None where there is none that this runtime reads."""
    try:
        return openvino_core().import_model(path.read_bytes(), "CPU", settings) if path.is_file() else None
    except RuntimeError:
        return None


def _written(path: Path, compiled: Any) -> Any:
    exported = compiled.export_model()
    with replacing(path) as temporary:
        temporary.write_bytes(exported if isinstance(exported, bytes) else exported.getvalue())
    return compiled


def settings_for(precision: Precision) -> dict[str, Any]:
    """How a network is compiled: as many threads as OMP_NUM_THREADS says, or all; none of them tied to a core."""
    given = os.environ.get(THREADS_VARIABLE, "")
    threads = {"INFERENCE_NUM_THREADS": int(given)} if given.isdecimal() and int(given) > 0 else {}
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        **threads,
    }


@cache
def processor_folder() -> Path:
    """Where networks that are compiled for this processor by this runtime are kept."""
    import openvino

    able = sorted(openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    named = f"{openvino.get_version()} {openvino_core().get_property('CPU', 'FULL_DEVICE_NAME')} {able} {LAYOUT}"
    return cache_folder() / "graphs" / hashlib.sha256(named.encode()).hexdigest()[:16]


@cache
def fastest_rounding() -> Precision:
    """bfloat16 or int8, whichever does more for its loss here; measured once for this processor, and kept."""
    note = processor_folder() / "rounding"
    try:
        known = note.read_text("ascii")
        if known in ("bfloat16", "int8"):
            return "bfloat16" if known == "bfloat16" else "int8"
    except (OSError, UnicodeDecodeError):
        pass
    measured = _measured_rounding()
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with replacing(note) as temporary:
            temporary.write_text(measured, "ascii")
    except OSError:
        pass
    return measured


def _measured_rounding() -> Precision:
    if "BF16" not in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return "int8"
    given = np.ones((1, 256, 4, 40), np.float32)
    graphs = [Graph(partial(_sample, largest), precision) for precision, largest in _SAMPLES]
    times_s = [[_seconds(graph, given) for graph in graphs] for _ in range(_ROUNDS)]
    rounded_s, small_s = np.min(times_s, axis=0)
    return "int8" if small_s < _WORTH_INT8 * rounded_s else "bfloat16"


def _seconds(graph: Graph, given: np.ndarray) -> float:
    graph(given)
    started = time.perf_counter()
    graph(given)
    return time.perf_counter() - started


def _sample(largest: float | None) -> Any:
    """Products like those of a speaker encoder."""
    import openvino
    from openvino import opset13 as op

    given = op.parameter([1, 256, 4, 40], openvino.Type.f32)
    weight, hidden = np.full((256, 256, 1, 1), 1 / 256, np.float32), given
    for _ in range(6):
        hidden = op.relu(convolution(hidden, weight, largest=largest))
    return openvino.Model([hidden], [given], "sample")


# Building blocks


def constant(array: np.ndarray | float) -> Any:
    from openvino import opset13 as op

    return op.constant(np.ascontiguousarray(array, np.float32).reshape(np.shape(array)))


def integers(*values: int) -> Any:
    """Axes, or a shape."""
    from openvino import opset13 as op

    return op.constant(np.array(values, np.int64))


def convolution(
    x: Any,
    weight: np.ndarray,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    largest: float | None = None,
    name: str = "convolution",
) -> Any:
    """Over the last two axes, a node of this name.

    `largest`: with int8 weights, one scale an output channel, and 8 bits for inputs between nought and this.
    """
    from openvino import opset13 as op

    weights = constant(weight)
    if largest is not None:
        nought, top = constant(0.0), constant(largest)
        x = op.fake_quantize(x, nought, top, nought, top, 256)
        scale = np.maximum(np.abs(weight).max(axis=(1, 2, 3), keepdims=True), 1e-12) / 127
        small = op.constant(np.round(weight / scale).astype(np.int8))
        weights = op.multiply(op.convert(small, "f32"), constant(scale))
    return op.convolution(x, weights, list(stride), list(padding), list(padding), list(dilation), name=name)


def lstm(x: Any, start: Any, lengths: Any, weights: list[tuple[np.ndarray, ...]]) -> tuple[Any, Any, Any]:
    """A recurrent layer of PyTorch's definition over x [B, T, I], in one direction or two.

    Args:
        start: what it remembers, (hidden, cell), each [B, directions, H].
        lengths: steps of each row [B].
        weights: by direction: of the input, of the state, and the bias of each.

    Returns its outputs [B, T, directions * H], and what it remembers then.
    """
    from openvino import opset13 as op

    # PyTorch's order is input, forget, cell, output; OpenVINO's forget, input, cell, output.
    ordered = [[np.concatenate([(q := np.split(part, 4))[1], q[0], q[2], q[3]]) for part in each] for each in weights]
    hidden = ordered[0][1].shape[1]
    into, state = (constant(np.stack([each[index] for each in ordered])) for index in (0, 1))
    bias = constant(np.stack([each[2] + each[3] for each in ordered]))
    direction = "forward" if len(weights) == 1 else "bidirectional"
    layer = op.lstm_sequence(x, *start, lengths, into, state, bias, hidden, direction)
    steps = op.transpose(layer.output(0), integers(0, 2, 1, 3))
    return op.reshape(steps, integers(0, 0, -1), True), layer.output(1), layer.output(2)
