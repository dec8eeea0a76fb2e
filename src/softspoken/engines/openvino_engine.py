"""The CPU engine: Whisper on OpenVINO, float32 or with int8 weights, windows and batches of any size. No PyTorch."""

import queue
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from softspoken.backbones.checkpoints import StoredWhisper
from softspoken.backbones.weights import DECODER_POSITIONS, EMBEDDING
from softspoken.engines.arrays import valid_positions
from softspoken.engines.base import AudioFeatures, Engine, Precision
from softspoken.engines.model_store import ModelStore
from softspoken.engines.openvino_graphs import FIRST_STATE, FrameKind, graphs, with_half_states
from softspoken.errors import BackboneError, ConfigError
from softspoken.openvino_core import has_amx, openvino_core
from softspoken.prompts.rows import FrameRows, converted

LAYOUT = 2
"""Raised whenever the graphs change: older files are then made anew."""
FRAMES_AT_ONCE = 1000
"""What the encoder takes in one go, 20 s: more rows take no less time each, and their attention much memory."""
ROW_AXES = (0, 1, 1, 0, 0, 0)
"""Where the rows of a batch lie in `Engine._encode`'s `rows`."""
HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


class OpenVinoEngine(Engine):
    """Graphs are built on first use into the user's cache (`ModelStore`), as is what OpenVINO makes of them for this
    processor."""

    name = "openvino"
    backbone: StoredWhisper

    def __init__(self, backbone: StoredWhisper, precision: Precision = "float32", threads: int | None = None) -> None:
        """`threads`: of the processor, None for all. Fewer are not tied to cores: engines of several processes would
        all sit on the first ones.

        Raises ConfigError for a precision it does not have, or without OpenVINO; BackboneError for a cache that cannot
        be written.
        """
        if precision not in HINTS:
            raise ConfigError(f"engine 'openvino' has no precision '{precision}'; use {', '.join(HINTS)}")
        try:
            import openvino
        except ModuleNotFoundError:
            raise ConfigError("the engine 'openvino' needs the package 'openvino': pip install openvino") from None
        super().__init__(backbone)
        self.precision = precision
        # What is rounded to bfloat16 for each token anyway is kept so: half of it to read.
        self._half_states = precision == "bfloat16" and _rounds()
        version = openvino.get_version().split("-")[0]
        weights = "int8" if precision == "int8" else "float32"
        self._store = ModelStore.of(backbone.fingerprint, f"openvino-{version}-{LAYOUT}-{weights}")
        self._graphs = graphs(backbone.config, backbone.weights, int8=precision == "int8")
        self._settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            **({} if threads is None else {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}),
        }
        self._embedding = backbone.weights.stored(EMBEDDING)
        self._positions = backbone.weights[DECODER_POSITIONS]
        self._models: dict[str, _Model] = {}
        self._making = threading.Lock()

    def _model(self, name: str) -> "_Model":
        with self._making:
            if name not in self._models:
                self._models[name] = self._compiled(name)
            return self._models[name]

    def _compiled(self, name: str) -> "_Model":
        folder = self._store.model(name, lambda folder: self._build(name, folder))
        hint = self._hint(name)
        settings = {**self._settings, "INFERENCE_PRECISION_HINT": hint}
        if self._store.can_be_written:
            # OpenVINO takes what was compiled for one hint for another, too, and dies of it.
            settings["CACHE_DIR"] = str(self._store.folder / "compiled" / hint)
        try:
            model = openvino_core().read_model(folder / "model.xml")
            if self._half_states and name in FIRST_STATE:
                model = with_half_states(model, FIRST_STATE[name] + 2 * self.backbone.config.decoder_layers, False)
            elif self._half_states and name.startswith("encoder"):
                model = with_half_states(model, 0, True)
            with self._store.alone(name):
                compiled = openvino_core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            problem = str(error).strip().splitlines()[-1][:200]
            raise BackboneError(f"'{folder}' cannot be used ({problem}); remove it, it is made anew") from error
        return _Model(compiled)

    def _hint(self, name: str) -> str:
        """What a model computes in. On AMX, an encoder of int8 weights is faster in bfloat16; a token is not."""
        if name == "layers":
            return "f32"
        if self.precision == "int8" and name.startswith(("frontend", "encoder")) and has_amx():
            return "bf16"
        return HINTS[self.precision]

    def _build(self, name: str, folder: Path) -> None:
        import openvino

        print(f"softspoken: building the {name} of '{self.backbone.name}' for OpenVINO, once", file=sys.stderr)
        try:
            openvino.save_model(self._graphs[name](), folder / "model.xml", compress_to_fp16=False)
        except RuntimeError as error:
            # So it says that the disk is full.
            raise OSError(str(error).strip().splitlines()[-1][:200]) from error

    def features(
        self, audio: Sequence[np.ndarray], window_s: float | Sequence[float | None] | None = None
    ) -> AudioFeatures:
        each = [window_s] * len(audio) if window_s is None or isinstance(window_s, float | int) else window_s
        return AudioFeatures(*self.backbone.features(audio, each))

    def layer_states(self, audio: Sequence[np.ndarray], window_s: float) -> Float32[np.ndarray, "L B T D"]:
        entered = self.embed_audio(self.features(audio, window_s))
        mask = self.additive(valid_positions(entered.lengths, entered.states.shape[1]))[:, None, None]
        return np.stack(self._model("layers")(entered.states, mask))

    def array(self, values: np.ndarray) -> np.ndarray:
        return np.require(values, np.float32, ["C", "W"])

    def numpy(self, values: np.ndarray) -> Float32[np.ndarray, "..."]:
        return values

    def padded(self, values: np.ndarray, front: int, behind: int, axis: int) -> np.ndarray:
        return np.pad(values, [(front, behind) if at == axis else (0, 0) for at in range(values.ndim)])

    def joined(self, parts: Sequence[np.ndarray], axis: int) -> np.ndarray:
        return np.concatenate(parts, axis=axis)

    def embed(self, tokens: np.ndarray, first: np.ndarray) -> np.ndarray:
        places = np.minimum(first[:, None] + np.arange(tokens.shape[1]), len(self._positions) - 1)
        found: np.ndarray = self._embedding.float32(tokens) + self._positions[places]
        return found

    def _frontend(self, mel: np.ndarray, valid: np.ndarray) -> np.ndarray:
        (frames,) = self._model("frontend")(mel, valid)
        return frames

    def _encode(
        self,
        audio: np.ndarray,
        rows: tuple[np.ndarray, ...],
        activity: np.ndarray | None,
        frames: FrameRows | None,
    ) -> tuple[np.ndarray, ...]:
        model, batch = self._model(f"encoder-{_kind(frames)}"), len(audio)
        size = max(1, FRAMES_AT_ONCE // max(1, audio.shape[1]))

        def some(at: slice) -> tuple[np.ndarray, ...]:
            given = [_sets(part, axis, at) for part, axis in zip(rows, ROW_AXES, strict=True)]
            if frames is not None and activity is not None:
                given += [activity[at], *_frame_inputs(converted(frames, lambda part, axis: _sets(part, axis, at)))]
            return model(audio[at], *given)

        parts = [some(slice(first, first + size)) for first in range(0, batch, size)]
        return parts[0] if len(parts) == 1 else tuple(np.concatenate(each) for each in zip(*parts, strict=True))

    def decode(
        self,
        hidden: np.ndarray,
        mask: np.ndarray,
        cross_mask: np.ndarray,
        past: Sequence[np.ndarray],
        cross: Sequence[np.ndarray],
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        logits, *written = self._model("decoder")(hidden, mask, cross_mask, *past, *cross)
        return logits, tuple(written)

    def decode_text(
        self,
        hidden: np.ndarray,
        mask: np.ndarray,
        cross_mask: np.ndarray,
        past: Sequence[np.ndarray],
        cross: Sequence[np.ndarray],
        following: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = following.astype(np.float32)
        logprobs, weights = self._model("decoder-text")(hidden, mask, cross_mask, ids, *past, *cross)
        return logprobs, weights


def _kind(frames: FrameRows | None) -> FrameKind:
    """The encoder that runs these frame prompts."""
    if frames is None:
        return "none"
    return "plain" if frames.bank is None else "keyed"


def _sets(part: np.ndarray, axis: int, at: slice) -> np.ndarray:
    """The sets of prompts for some rows of a batch; one for all of them stays."""
    return part if part.shape[axis] == 1 else part[(slice(None),) * axis + (at,)]


def _frame_inputs(frames: FrameRows) -> tuple[np.ndarray, ...]:
    """The inputs that an encoder takes behind the activity, in the order of `_frame_prompts`."""
    bank = () if frames.bank is None else tuple(vars(frames.bank).values())
    return (frames.rest, frames.active, *bank)


class _Model:
    """A compiled model and the requests that threads take turns with."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: queue.SimpleQueue[_Request] = queue.SimpleQueue()

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = _Request(self._compiled.create_infer_request(), self._compiled.outputs)
        try:
            return request(inputs)
        finally:
            self._idle.put(request)


class _Request:
    """Runs a model in one thread at a time. Inputs are handed over once: most stay the same from token to token."""

    def __init__(self, request: Any, outputs: Sequence[Any]) -> None:
        self._request = request
        self._outputs = range(len(outputs))
        self._bound: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        for index, given in enumerate(inputs):
            if index not in self._bound or self._bound[index][0] is not given:
                # A copy where it is no contiguous stretch of memory, or may not be written to.
                part = np.require(given, requirements=["C", "W"])
                self._request.set_input_tensor(index, _shared(part))
                # OpenVINO keeps neither alive.
                self._bound[index] = given, part
        self._request.infer()
        # Copies: the request's own memory goes to somebody else now.
        return tuple(self._request.get_output_tensor(index).data.copy() for index in self._outputs)


def _shared(part: np.ndarray) -> Any:
    """The same memory as a tensor of OpenVINO."""
    import openvino

    if part.dtype == np.float16:
        # numpy has no bfloat16: OpenVINO gives its bytes as if they were float16.
        return openvino.Tensor(part.view(np.int16), openvino.Shape(list(part.shape)), openvino.Type.bf16)
    return openvino.Tensor(part, shared_memory=True)


def _rounds() -> bool:
    """Whether it computes in bfloat16 here where that is asked of it; else in float32."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
