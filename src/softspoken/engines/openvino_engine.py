"""The CPU engine: the same functions on OpenVINO, float32 or with int8 weights, windows and batches of any size."""

import queue
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from softspoken.backbones import WhisperBackbone
from softspoken.engines.base import Engine, Precision
from softspoken.engines.export import frame_tensors, kind_of, openvino_model, parts, quantise, with_half_states
from softspoken.engines.store import ModelStore
from softspoken.engines.threads import one_torch_thread
from softspoken.errors import BackboneError, ConfigError, MissingExtra
from softspoken.prompts.frames import FrameRows

LAYOUT = 1
"""Raised whenever the exported models change: older files are then made anew."""
HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


class OpenVinoEngine(Engine):
    """Exported on first use into the user's cache; see `ModelStore`."""

    name = "openvino"

    def __init__(self, backbone: WhisperBackbone, precision: Precision = "float32", threads: int | None = None) -> None:
        """`threads`: of the processor, None for all.

        Raises MissingExtra without OpenVINO; ConfigError for a precision or a backbone it cannot run; BackboneError for
        a cache that cannot be written.
        """
        if precision not in HINTS:
            raise ConfigError(f"engine 'openvino' has no precision '{precision}'; use {', '.join(HINTS)}")
        if backbone.device.type != "cpu" or backbone.dtype != torch.float32:
            raise ConfigError(
                f"engine 'openvino' runs on the CPU from float32 weights, got {backbone.device} and {backbone.dtype}; "
                "use the engine 'torch' there"
            )
        try:
            import openvino
        except ModuleNotFoundError:
            raise MissingExtra("openvino", "cpu", "the engine 'openvino'") from None
        super().__init__(backbone)
        self.precision = precision
        self._core = openvino.Core()
        # What is rounded to bfloat16 for each token anyway is kept so: half of it to read.
        self._half_states = precision == "bfloat16" and _rounds(self._core)
        self._parts = parts(backbone)
        self._settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            **({} if threads is None else {"INFERENCE_NUM_THREADS": threads}),
        }
        version = openvino.get_version().split("-")[0]
        weights = "int8" if precision == "int8" else "float32"
        self._store = ModelStore.of(backbone.fingerprint, f"openvino-{version}-{LAYOUT}-{weights}")
        self._models: dict[str, _Model] = {}

    def searching(self) -> AbstractContextManager[None]:
        return one_torch_thread()

    def _model(self, name: str) -> "_Model":
        if name not in self._models:
            folder = self._store.model(name, lambda folder: self._export(name, folder))
            try:
                model = self._core.read_model(folder / "model.xml")
                if self._half_states and name == "decoder":
                    model = with_half_states(model)
                compiled = self._core.compile_model(model, "CPU", self._settings)
            except RuntimeError as error:
                problem = str(error).strip().splitlines()[-1][:200]
                raise BackboneError(f"'{folder}' cannot be used ({problem}); remove it, it is made anew") from error
            self._models.setdefault(name, _Model(compiled))
        return self._models[name]

    def _export(self, name: str, folder: Path) -> None:
        import openvino

        print(f"softspoken: exporting the {name} of '{self.backbone.name}' for OpenVINO, once", file=sys.stderr)
        model = openvino_model(self._parts[name]())
        if self.precision == "int8":
            model = quantise(model)
        try:
            openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
        except RuntimeError as error:
            # So it says that the disk is full.
            raise OSError(str(error).strip().splitlines()[-1][:200]) from error

    def _frontend(self, mel: Float[Tensor, "B M _"], valid: Float[Tensor, "B 1 _"]) -> Float[Tensor, "B T D"]:
        (frames,) = self._model("frontend")(mel, valid)
        return frames

    def _encode(
        self,
        audio: Float[Tensor, "B T D"],
        rows: tuple[Tensor, ...],
        activity: Float[Tensor, "B T"] | None,
        frames: FrameRows | None,
    ) -> tuple[Tensor, ...]:
        given = () if frames is None or activity is None else (activity, *frame_tensors(frames))
        found = self._model(f"encoder-{kind_of(frames)}")(audio, *rows, *given)
        return tuple(part.bfloat16() for part in found) if self._half_states else found

    def decode(
        self,
        hidden: Float[Tensor, "R U D"],
        mask: Float[Tensor, "R 1 U _"],
        cross_mask: Float[Tensor, "R 1 1 S"],
        past: Sequence[Tensor],
        cross: Sequence[Tensor],
    ) -> tuple[Float[Tensor, "R U V"], tuple[Tensor, ...]]:
        logits, *written = self._model("decoder")(hidden, mask, cross_mask, *past, *cross)
        return logits, tuple(written)


class _Model:
    """A compiled model and the requests that threads take turns with."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: queue.SimpleQueue[_Request] = queue.SimpleQueue()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = _Request(self._compiled.create_infer_request(), len(self._compiled.outputs))
        try:
            return request(inputs)
        finally:
            self._idle.put(request)


class _Request:
    """Runs a model in one thread at a time. Inputs are handed over once: most stay the same from token to token."""

    def __init__(self, request: Any, outputs: int) -> None:
        self._request = request
        self._outputs = range(outputs)
        self._bound: dict[int, Tensor] = {}

    def __call__(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        for index, given in enumerate(inputs):
            # An input that is kept alive cannot have given its address to another.
            before = self._bound.get(index)
            same = before is not None and before.data_ptr() == given.data_ptr() and before.shape == given.shape
            if not same or given.numel() == 0 or not given.is_contiguous():
                part = given.contiguous()
                self._bound[index] = part
                self._request.set_input_tensor(index, _shared(part))
        self._request.infer()
        # Copies: the request's own memory goes to somebody else now.
        return tuple(torch.from_numpy(self._request.get_output_tensor(index).data.copy()) for index in self._outputs)


def _shared(part: Tensor) -> Any:
    """The same memory as a tensor of OpenVINO."""
    import openvino

    if part.dtype != torch.bfloat16:
        return openvino.Tensor(part.numpy(), shared_memory=True)
    # numpy has no such numbers: their bytes, and what they are.
    return openvino.Tensor(part.view(torch.int16).numpy(), openvino.Shape(list(part.shape)), openvino.Type.bf16)


def _rounds(core: Any) -> bool:
    """Whether it computes in bfloat16 here where that is asked of it; else in float32."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
