"""Reading CTranslate2's model.bin: every precision, checked against CTranslate2's own converter; damage refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from whisper_files import (
    TIED,
    build_model,
    ctranslate2_variables,
    pack_ctranslate2,
    tiny_model,
    weights_of,
    write_hub_for_converters,
)

from softspoken.backbones.ctranslate2 import load_ctranslate2
from softspoken.backbones.weights import ENCODER_POSITIONS, fingerprint
from softspoken.errors import BackboneError


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("mels", [80, 128])
def test_float32_gives_back_every_weight_and_the_configuration(tmp_path: Path, mels: int) -> None:
    model = tiny_model(mels=mels)
    config, state = load_ctranslate2(write(tmp_path / "model.bin", pack_ctranslate2(ctranslate2_variables(model))))
    expected = weights_of(model)
    assert state.keys() == expected.keys()
    for name, tensor in state.items():
        # The encoder's sinusoids are worked out anew.
        atol = 1e-5 if name == ENCODER_POSITIONS else 0.0
        torch.testing.assert_close(torch.from_numpy(tensor), expected[name], rtol=0, atol=atol)
    for key in ("d_model", "encoder_layers", "decoder_layers", "num_mel_bins", "vocab_size", "max_source_positions"):
        assert getattr(config, key) == getattr(model.config, key)
    for key in ("max_target_positions", "encoder_ffn_dim", "decoder_ffn_dim", "encoder_attention_heads"):
        assert getattr(config, key) == getattr(model.config, key)


def test_a_file_in_parts_is_the_file(tmp_path: Path) -> None:
    content = pack_ctranslate2(ctranslate2_variables(tiny_model()))
    whole = write(tmp_path / "model.bin", content)
    for cut in (3, 4, len(content) // 2, len(content) - 1):
        parts = (write(tmp_path / "part1", content[:cut]), write(tmp_path / "part2", content[cut:]))
        assert fingerprint(load_ctranslate2(*parts)[1]) == fingerprint(load_ctranslate2(whole)[1])


@pytest.mark.parametrize(
    ("quantization", "steps"),
    [
        ("float32", None),
        ("float16", None),
        ("bfloat16", 2**-8),
        ("int16", 1 / 1024),
        ("int8", 1 / 127),
        ("int8_float32", 1 / 127),
        ("int8_float16", 1 / 127),
    ],
)
def test_what_ctranslate2_writes(tmp_path: Path, quantization: str, steps: float | None) -> None:
    """`steps`: the coarsest step of the precision, relative to the largest value."""
    converters = pytest.importorskip("ctranslate2.converters", reason="ctranslate2 (extra 'dev') is not installed")
    model = tiny_model(vocabulary=273)
    folder = write_hub_for_converters(model, tmp_path / "hub")
    converters.TransformersConverter(str(folder)).convert(str(tmp_path / "ct2"), quantization=quantization)
    config, state = load_ctranslate2(tmp_path / "ct2" / "model.bin")
    built = build_model(config, state, "test")
    expected = weights_of(model)
    if steps is None:
        assert fingerprint(built.state_dict()) == fingerprint(expected)
        return
    assert fingerprint(built.state_dict()) != fingerprint(expected)
    for name, tensor in built.state_dict().items():
        largest = float(expected[name].abs().max())
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0.5 * steps * largest + 2e-3)


def test_aliases_are_followed(tmp_path: Path) -> None:
    variables = ctranslate2_variables(tiny_model())
    original, copy = "decoder/layer_0/ffn/layer_norm/beta", "encoder/layer_norm/beta"
    shared = variables.pop(copy)
    variables[original] = shared
    path = write(tmp_path / "model.bin", pack_ctranslate2(variables, {**TIED, copy: "hop", "hop": original}))
    _, state = load_ctranslate2(path)
    np.testing.assert_array_equal(state["model.encoder.layer_norm.bias"], shared)
    circle = {**TIED, copy: "hop", "hop": copy}
    with pytest.raises(BackboneError, match="alias"):
        load_ctranslate2(write(tmp_path / "model.bin", pack_ctranslate2(variables, circle)))


def test_truncation_anywhere_is_refused(tmp_path: Path) -> None:
    content = pack_ctranslate2(ctranslate2_variables(tiny_model()))
    for cut in [0, 1, 5, 20, 30, 100, *range(1000, len(content), len(content) // 7), len(content) - 1]:
        with pytest.raises(BackboneError) as caught:
            load_ctranslate2(write(tmp_path / "model.bin", content[:cut]))
        assert "\n" not in str(caught.value)
    with pytest.raises(BackboneError, match="has more bytes than it says"):
        load_ctranslate2(write(tmp_path / "model.bin", content + b"\0"))


def test_other_versions_and_models_are_refused(tmp_path: Path) -> None:
    variables = ctranslate2_variables(tiny_model())
    for options, expected in (
        ({"version": 5}, "version 5"),
        ({"specification": "TransformerSpec"}, "TransformerSpec"),
        ({"revision": 2}, "revision 2"),
    ):
        with pytest.raises(BackboneError, match=expected):
            load_ctranslate2(write(tmp_path / "model.bin", pack_ctranslate2(variables, **options)))
    for content in (b"version https://git-lfs.github.com/spec/v1\n", b"\x80\x02}q\0." * 50, bytes(1000)):
        with pytest.raises(BackboneError):
            load_ctranslate2(write(tmp_path / "model.bin", content))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"encoder/conv1/weight": None}, "conv1/weight' is missing"),
        ({"encoder/num_heads": None}, "num_heads' is missing"),
        ({"encoder/num_heads": np.array(3, np.int16)}, "3 heads"),
        ({"decoder/activation": np.array(0, np.int8)}, "activation"),
        ({"decoder/pre_norm": np.array(0, np.int8)}, "pre_norm"),
        ({"decoder/rotary": np.zeros(3, np.float32)}, "not part of Whisper"),
        ({"encoder/layer_norm/gamma": np.ones(31, np.float32)}, "shape"),
        ({"encoder/layer_norm/gamma": np.ones(32, np.int8)}, "no scale"),
        ({"encoder/layer_norm/gamma": np.full(32, np.nan, np.float32)}, "not finite"),
        ({"encoder/layer_0/self_attention/linear_0/bias": np.ones(96, np.float32)}, "key bias"),
        ({"decoder/projection/weight": np.ones((300, 32), np.float32)}, "ties"),
    ],
)
def test_what_is_not_a_whisper_is_refused(tmp_path: Path, change: dict[str, np.ndarray | None], expected: str) -> None:
    changed = {**ctranslate2_variables(tiny_model()), **change}
    variables = {name: array for name, array in changed.items() if array is not None}
    aliases = {} if "decoder/projection/weight" in change else TIED
    path = write(tmp_path / "model.bin", pack_ctranslate2(variables, aliases))
    with pytest.raises(BackboneError, match=expected) as caught:
        build_model(*load_ctranslate2(path), str(path))
    assert "\n" not in str(caught.value)
