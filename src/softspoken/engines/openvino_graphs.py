"""A frozen Whisper under compiled prompts as OpenVINO graphs, built from the weights with OpenVINO's operations.

Three functions: the front end, one encoder for each kind of frame prompt (what is added to frames is a computation of
its own), and the decoder on top of a cache. Prompt rows that are overwritten before every layer are no queries, only
keys and values (see `prompts.compiled`); the order of the encoder's states is [shallow][audio][rows], which attention
does not care about. `engines.network` is the same in PyTorch.

Shapes: B batch, L layers, H heads, E = D / H, T audio frames, F shallow vectors, N overwritten rows, S = F + T + N
states, R rows being written, U new tokens, C columns of the cache, V vocabulary.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np

from softspoken.backbones.weights import EMBEDDING, ENCODER_POSITIONS, WhisperConfig
from softspoken.engines.attention import alignment_heads
from softspoken.engines.openvino_blocks import Graph, Node

FrameKind = Literal["none", "plain", "keyed"]
FIRST_STATE = {"decoder": 3, "decoder-text": 4}
"""Inputs of a decoder before its cache: vectors and two masks; of one that follows a text its tokens, too."""


def graphs(sizes: WhisperConfig, weights: Mapping[str, np.ndarray], int8: bool = False) -> dict[str, Callable[[], Any]]:
    """The functions that an engine runs, by name, each made when it is called for.

    `int8`: weights of matrix products with one scale an output channel; the runtime quantises what is multiplied with
    them as it comes.
    """
    found = {
        "frontend": partial(_frontend, sizes, weights),
        "decoder": partial(_decoder, sizes, weights, int8),
        "decoder-text": partial(_text_decoder, sizes, weights, int8),
        "layers": partial(_layers, sizes, weights),
    }
    kinds: tuple[FrameKind, ...] = ("none", "plain", "keyed")
    return found | {f"encoder-{kind}": partial(_encoder, sizes, weights, int8, kind) for kind in kinds}


def _frontend(sizes: WhisperConfig, weights: Mapping[str, np.ndarray]) -> Any:
    """(mel (B, M, frames of 10 ms), valid (B, 1, frames)) -> (B, T, D), positions added."""
    graph = Graph(weights, False, sizes.encoder_attention_heads, sizes.d_model)
    ops = graph.ops
    mel, valid = graph.input(-1, sizes.num_mel_bins, -1), graph.input(-1, 1, -1)

    def convolved(name: str, states: Node, stride: int) -> Node:
        found = ops.convolution(states, graph.constant(weights[f"{name}.weight"]), [stride], [1], [1], [1])
        return graph.gelu(ops.add(found, graph.constant(weights[f"{name}.bias"][:, None])))

    # Zeroing behind a row's end is what the convolution's own padding does for a single row.
    hidden = ops.multiply(convolved("model.encoder.conv1", ops.multiply(mel, valid), 1), valid)
    hidden = ops.transpose(convolved("model.encoder.conv2", hidden, 2), graph.constant([0, 2, 1]))
    time = ops.gather(ops.shape_of(hidden, "i64"), graph.constant([1]), graph.constant([0]))
    table = graph.constant(weights[ENCODER_POSITIONS])
    positions = ops.slice(table, graph.constant([0]), time, graph.constant([1]), graph.constant([0]))
    return graph.model([ops.add(hidden, positions)], "frontend")


def _encoder(sizes: WhisperConfig, weights: Mapping[str, np.ndarray], int8: bool, kind: FrameKind) -> Any:
    """Audio frames to the keys (B, H, E, S) and values (B, H, S, E) of each decoder layer: k1, v1, k2, v2, ...

    Inputs: audio (B, T, D), shallow (B, F, D), keys and values of the rows (L, B, N, D), the last layer's rows (B, N,
    D), `heard` (B, S, 1), which is 0 for states that the decoder sees nothing of, else 1, and a mask (B, 1, 1, S) that
    is added to scores; for frame prompts the activity (B, T) and the fields of `FrameRows` (and `Bank`), in order.
    """
    width, count = sizes.d_model, sizes.encoder_layers
    graph = Graph(weights, int8, sizes.encoder_attention_heads, width)
    audio, shallow = graph.input(-1, -1, width), graph.input(-1, -1, width)
    keys, values = graph.input(count, -1, -1, width), graph.input(count, -1, -1, width)
    last, heard, mask = graph.input(-1, -1, width), graph.input(-1, -1, 1), graph.input(-1, 1, 1, -1)
    add_frames = _frame_prompts(graph, kind, count, width)
    hidden = graph.join([shallow, add_frames(0, audio)], 1)
    for index in range(count):
        name = f"model.encoder.layers.{index}"
        if index:
            hidden = _behind(graph, shallow, hidden, partial(add_frames, index)) if kind != "none" else hidden
        if index == count - 1:
            hidden = graph.join([hidden, last], 1)
            hidden = _encoder_layer(graph, name, hidden, None, mask)
        else:
            rows = graph.layer_of(keys, index), graph.layer_of(values, index)
            hidden = _encoder_layer(graph, name, hidden, rows, mask)
    states = graph.ops.multiply(graph.norm("model.encoder.layer_norm", hidden), heard)
    across = Graph(weights, int8, sizes.decoder_attention_heads, width)
    found: list[Node] = []
    for index in range(sizes.decoder_layers):
        attention = f"model.decoder.layers.{index}.encoder_attn"
        key = across.split(across.linear(f"{attention}.k_proj", states))
        found.append(graph.ops.transpose(key, graph.constant([0, 1, 3, 2])))
        found.append(across.split(across.linear(f"{attention}.v_proj", states)))
    return graph.model(found, f"encoder-{kind}")


def _behind(graph: Graph, shallow: Node, hidden: Node, change: Callable[[Node], Node]) -> Node:
    """`change` of the states behind the shallow vectors."""
    ops = graph.ops
    count = ops.gather(ops.shape_of(shallow, "i64"), graph.constant([1]), graph.constant([0]))
    far, step, axis = graph.constant([2**31]), graph.constant([1]), graph.constant([1])
    front = ops.slice(hidden, graph.constant([0]), count, step, axis)
    return graph.join([front, change(ops.slice(hidden, count, far, step, axis))], 1)


def _frame_prompts(graph: Graph, kind: FrameKind, layers: int, width: int) -> Callable[[int, Node], Node]:
    """What a layer does to the audio frames before it: `prompts.frames.FrameRows.added`, as operations."""
    if kind == "none":
        return lambda index, frames: frames
    ops = graph.ops
    activity = ops.unsqueeze(graph.input(-1, -1), graph.constant([2]))
    rest, active = graph.input(layers, -1, width), graph.input(layers, -1, width)
    bank: list[Node] = []
    if kind == "keyed":
        bank = [graph.input(layers, -1, width, -1), graph.input(layers, -1, -1, width)]
        bank += [graph.input(layers, -1, -1) for _ in range(3)]

    def row(stacked: Node, index: int) -> Node:
        return ops.unsqueeze(graph.layer_of(stacked, index), graph.constant([1]))

    def added(index: int, frames: Node) -> Node:
        quiet, loud = row(rest, index), row(active, index)
        more = ops.add(quiet, ops.multiply(activity, ops.subtract(loud, quiet)))
        if bank:
            keys, values, gate, bias, by_activity = bank
            found = ops.matmul(graph.norm("", frames), graph.layer_of(keys, index), False, False)
            found = ops.add(ops.multiply(found, row(gate, index)), row(bias, index))
            chosen = graph.gelu(ops.add(found, ops.multiply(activity, row(by_activity, index))))
            more = ops.add(more, ops.matmul(chosen, graph.layer_of(values, index), False, False))
        return ops.add(frames, more)

    return added


def _encoder_layer(graph: Graph, name: str, hidden: Node, rows: tuple[Node, Node] | None, mask: Node) -> Node:
    """Whisper's layer with further keys and values that ask nothing themselves."""
    attention, ops = f"{name}.self_attn", graph.ops
    normed = graph.norm(f"{name}.self_attn_layer_norm", hidden)
    query, key, value = (graph.linear(f"{attention}.{part}_proj", normed) for part in "qkv")
    if rows is not None:
        key, value = graph.join([key, rows[0]], 1), graph.join([value, rows[1]], 1)
    mixed = ops.scaled_dot_product_attention(graph.split(query), graph.split(key), graph.split(value), mask)
    hidden = ops.add(hidden, graph.linear(f"{attention}.out_proj", graph.merge(mixed)))
    return graph.feed_forward(name, hidden)


def _layers(sizes: WhisperConfig, weights: Mapping[str, np.ndarray]) -> Any:
    """Audio frames (B, T, D) and a mask (B, 1, 1, T) to what enters each encoder layer, without prompts."""
    graph = Graph(weights, False, sizes.encoder_attention_heads, sizes.d_model)
    hidden, mask = graph.input(-1, -1, sizes.d_model), graph.input(-1, 1, 1, -1)
    found = []
    for index in range(sizes.encoder_layers):
        found.append(hidden)
        hidden = _encoder_layer(graph, f"model.encoder.layers.{index}", hidden, None, mask)
    return graph.model(found, "layers")


def _decoder(sizes: WhisperConfig, weights: Mapping[str, np.ndarray], int8: bool) -> Any:
    """New vectors (tokens embedded, positions added) on top of a cache.

    Inputs: vectors (R, U, D), masks that are added to the scores of the C + U columns (R, 1, U, C + U) and of the S
    encoder states (R, 1, 1, S), the cache's keys and values (R, H, C, E) by layer, and the audio's, as the encoder
    gives them. Gives scores (R, U, V) of what may follow, then keys and values (R, H, U, E) of the new: k1, v1, k2, ...
    """
    graph = Graph(weights, int8, sizes.decoder_attention_heads, sizes.d_model)
    logits, written, _ = _decoder_layers(graph, sizes, _decoder_inputs(graph, sizes), {})
    return graph.model([logits, *written], "decoder")


def _text_decoder(sizes: WhisperConfig, weights: Mapping[str, np.ndarray], int8: bool) -> Any:
    """The decoder along a text that is known: see `Engine.decode_text`.

    A fourth input are the ids (R, U) that follow. Gives their log-probabilities (R, U), then what each of K heads looks
    at (R, K, U, S).
    """
    graph = Graph(weights, int8, sizes.decoder_attention_heads, sizes.d_model)
    ops = graph.ops
    given = _decoder_inputs(graph, sizes)
    following = ops.convert(graph.input(-1, -1), "i64")
    asked: dict[int, list[int]] = {}
    for layer, head in alignment_heads(sizes):
        asked.setdefault(layer, []).append(head)
    logits, _, looked = _decoder_layers(graph, sizes, given, asked)
    chosen = ops.gather_elements(ops.log_softmax(logits, 2), ops.unsqueeze(following, graph.constant([2])), 2)
    logprobs = ops.squeeze(chosen, graph.constant([2]))
    return graph.model([logprobs, graph.join(looked, 1)], "decoder-text")


def _decoder_inputs(graph: Graph, sizes: WhisperConfig) -> tuple[Node, Node, Node]:
    """Vectors and two masks."""
    return graph.input(-1, -1, sizes.d_model), graph.input(-1, 1, -1, -1), graph.input(-1, 1, 1, -1)


def _decoder_layers(
    graph: Graph, sizes: WhisperConfig, given: tuple[Node, Node, Node], asked: Mapping[int, list[int]]
) -> tuple[Node, list[Node], list[Node]]:
    """Scores, the new keys and values, and what the heads that are `asked` for (by layer) look at (R, K, U, S)."""
    heads, count = sizes.decoder_attention_heads, sizes.decoder_layers
    ops, each = graph.ops, sizes.d_model // heads
    hidden, mask, cross_mask = given
    past = [graph.input(-1, heads, -1, each) for _ in range(2 * count)]
    cross = [graph.input(*shape) for _ in range(count) for shape in ((-1, heads, each, -1), (-1, heads, -1, each))]
    written: list[Node] = []
    looked: list[Node] = []
    for index in range(count):
        name = f"model.decoder.layers.{index}"
        own, over = f"{name}.self_attn", f"{name}.encoder_attn"
        normed = graph.norm(f"{own}_layer_norm", hidden)
        query, key, value = (graph.split(graph.linear(f"{own}.{part}_proj", normed)) for part in "qkv")
        written += [key, value]
        keys = ops.transpose(graph.join([past[2 * index], key], 2), graph.constant([0, 1, 3, 2]))
        weights = graph.weigh(query, keys, mask)
        mixed = graph.mix(weights, graph.join([past[2 * index + 1], value], 2))
        hidden = ops.add(hidden, graph.linear(f"{own}.out_proj", mixed))
        query = graph.split(graph.linear(f"{over}.q_proj", graph.norm(f"{over}_layer_norm", hidden)))
        weights = graph.weigh(query, cross[2 * index], cross_mask)
        if index in asked:
            looked.append(ops.gather(weights, graph.constant(asked[index]), graph.constant([1])))
        mixed = graph.mix(weights, cross[2 * index + 1])
        hidden = graph.feed_forward(name, ops.add(hidden, graph.linear(f"{over}.out_proj", mixed)))
    normed = graph.norm("model.decoder.layer_norm", hidden)
    return ops.matmul(normed, graph.weight(EMBEDDING), False, True), written, looked


def with_half_states(model: Any, first: int, of_output: bool) -> Any:
    """The model with the audio's keys and values, from this input (or output) on, in bfloat16."""
    from openvino import Type
    from openvino.preprocess import PrePostProcessor

    prepared = PrePostProcessor(model)
    for index in range(first, len(model.outputs if of_output else model.inputs)):
        port = prepared.output(index) if of_output else prepared.input(index)
        port.tensor().set_element_type(Type.bf16)
    return prepared.build()
