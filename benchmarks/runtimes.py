"""Which runtime for the CPU engine: OpenVINO and ONNX Runtime on the same functions, in processes that take turns.

Encoder (16 prompt rows) and decoder step of a backbone, float32 and int8 weights, against PyTorch. Prints a table and
one JSON line.

    python benchmarks/runtimes.py --backbone tiny.en
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.engines.export import openvino_model, parts, quantise, untyped
from softspoken.training.environment import describe_environment

ROWS = 16
COLUMNS = 48
LENGTHS = (375, 1500)
"""Encoder frames: 7.5 s and 30 s."""
RUNTIMES = ("torch", "openvino", "onnxruntime")
Run = Callable[[], Any]


def encoder_inputs(backbone: WhisperBackbone, frames: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    stack = backbone.stacks["encoder"]
    layers, width = len(stack.layers), stack.width
    sizes = [(1, frames, width), (1, 0, width), *[(layers, 1, ROWS, width)] * 2, (1, ROWS, width)]
    given = [rng.standard_normal(size, dtype=np.float32) for size in sizes]
    states = frames + ROWS
    return [*given, np.ones((1, states, 1), np.float32), np.zeros((1, 1, 1, states), np.float32)]


def decoder_inputs(backbone: WhisperBackbone, frames: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    stack, heads = backbone.stacks["decoder"], int(backbone.config.decoder_attention_heads)
    layers, width, states = len(stack.layers), stack.width, frames + ROWS
    each = width // heads
    masks = [np.zeros((1, 1, 1, COLUMNS + 1), np.float32), np.zeros((1, 1, 1, states), np.float32)]
    cache = [(1, heads, COLUMNS, each)] * (2 * layers)
    cross = [(1, heads, each, states), (1, heads, states, each)] * layers
    hidden = rng.standard_normal((1, 1, width), dtype=np.float32)
    return [hidden, *masks, *(rng.standard_normal(size, dtype=np.float32) for size in (*cache, *cross))]


def openvino_runs(backbone: WhisperBackbone, name: str, inputs: list[np.ndarray], threads: int) -> dict[str, Run]:
    import openvino

    found: dict[str, Run] = {}
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    for precision in ("float32", "int8"):
        model = openvino_model(parts(backbone)[name]())
        model = quantise(model) if precision == "int8" else model
        request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        found[f"openvino {precision}"] = partial(request.infer, inputs, share_inputs=True, share_outputs=True)
    return found


def onnx_runs(
    backbone: WhisperBackbone, name: str, inputs: list[np.ndarray], threads: int, folder: Path
) -> dict[str, Run]:
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    names = [f"input{index}" for index in range(len(inputs))]
    module, example = parts(backbone)[name]()
    paths = {"float32": folder / f"{name}.onnx", "int8": folder / f"{name}-int8.onnx"}
    # Every dimension that is no width, number of layers or of heads is free.
    axes = {
        given: {axis: f"{given}_{axis}" for axis, size in enumerate(part.shape) if size not in fixed_sizes(backbone)}
        for given, part in zip(names, example, strict=True)
    }
    with untyped():
        torch.onnx.export(
            module, example, str(paths["float32"]), input_names=names, dynamic_axes=axes, opset_version=17, dynamo=False
        )
    quantize_dynamic(
        paths["float32"],
        paths["int8"],
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul", "Gemm"],
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    found: dict[str, Run] = {}
    for precision, path in paths.items():
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        known = {given.name for given in session.get_inputs()}
        feed = {given: part for given, part in zip(names, inputs, strict=True) if given in known}
        found[f"onnxruntime {precision}"] = partial(session.run, None, feed)
    return found


def fixed_sizes(backbone: WhisperBackbone) -> set[int]:
    """Sizes that are the same for all inputs (and none of an example's free ones)."""
    stack, heads = backbone.stacks["encoder"], int(backbone.config.decoder_attention_heads)
    return {stack.width, stack.width // heads, len(stack.layers), heads}


def measure(runs: dict[str, Run], count: int) -> dict[str, float]:
    """Median milliseconds of each, after two runs that do not count."""
    found = {}
    for name, run in runs.items():
        taken = []
        for _ in range(count + 2):
            begin = time.perf_counter()
            run()
            taken.append(1000 * (time.perf_counter() - begin))
        found[name] = statistics.median(taken[2:])
    return found


def runs_of(
    runtime: str, backbone: WhisperBackbone, name: str, frames: int, threads: int, folder: Path
) -> dict[str, Run]:
    inputs = encoder_inputs(backbone, frames) if name.startswith("encoder") else decoder_inputs(backbone, frames)
    if runtime == "openvino":
        return openvino_runs(backbone, name, inputs, threads)
    if runtime == "onnxruntime":
        return onnx_runs(backbone, name, inputs, threads, folder)
    module, _ = parts(backbone)[name]()
    return {"torch float32": partial(module, *(torch.from_numpy(part) for part in inputs))}


def child(asked: argparse.Namespace) -> None:
    """One runtime, alone in its process: the threads of another would wait in busy loops on the same processors."""
    torch.set_num_threads(asked.threads)
    backbone = load_backbone(asked.backbone)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for name in ("encoder-none", "decoder"):
            for frames in LENGTHS:
                runs = runs_of(asked.only, backbone, name, frames, asked.threads, Path(folder))
                found[f"{name}, {frames} frames"] = measure(runs, asked.runs)
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="tiny.en")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="processes of each runtime, taking turns")
    parser.add_argument("--runs", type=int, default=15, help="in each process")
    parser.add_argument("--only", choices=RUNTIMES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only is not None:
        child(asked)
        return
    gathered: dict[str, dict[str, list[float]]] = {}
    for _ in range(asked.rounds):
        for runtime in RUNTIMES:
            command = [sys.executable, __file__, "--only", runtime, "--backbone", asked.backbone]
            command += ["--threads", str(asked.threads), "--runs", str(asked.runs)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            for task, by_name in json.loads(done.stdout.splitlines()[-1]).items():
                for name, median in by_name.items():
                    gathered.setdefault(task, {}).setdefault(name, []).append(median)
    for task, by_name in gathered.items():
        print(
            f"{task} (ms; medians of {asked.runs} runs, their median over {asked.rounds} processes, lowest to highest)"
        )
        for name, medians in by_name.items():
            print(f"  {name:20} {statistics.median(medians):8.2f}  ({min(medians):.2f} to {max(medians):.2f})")
    machine = describe_environment()
    print(json.dumps({"benchmark": "runtimes", "backbone": asked.backbone, "results": gathered, "machine": machine}))


if __name__ == "__main__":
    main()
