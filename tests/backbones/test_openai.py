"""OpenAI's own files: every weight arrives, and nothing but tensors is ever unpickled."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from whisper_files import HEADS, build_model, openai_checkpoint, tiny_model, weights_of

from softspoken.backbones.openai import convert_openai, load_openai
from softspoken.backbones.weights import fingerprint
from softspoken.errors import BackboneError


@pytest.mark.parametrize("zipped", [True, False])
def test_the_model_comes_back(tmp_path: Path, zipped: bool) -> None:
    model = tiny_model(mels=128)
    torch.save(openai_checkpoint(model), tmp_path / "tiny.pt", _use_new_zipfile_serialization=zipped)
    config, state = load_openai(tmp_path / "tiny.pt")
    built = build_model(config, state, "test")
    expected = weights_of(model)
    for name, tensor in built.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-5)
    assert (config.encoder_attention_heads, config.num_mel_bins) == (HEADS, 128)


def test_half_precision_has_the_same_fingerprint(tmp_path: Path) -> None:
    model = tiny_model()
    content: Any = openai_checkpoint(model)
    content["model_state_dict"] = {name: tensor.half() for name, tensor in content["model_state_dict"].items()}
    torch.save(content, tmp_path / "tiny.pt")
    built = build_model(*load_openai(tmp_path / "tiny.pt"), "test")
    assert fingerprint(built.state_dict()) == fingerprint(weights_of(model))
    assert all(tensor.dtype == torch.float32 for tensor in built.state_dict().values())


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('a pickle was run')",))


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    content = {**openai_checkpoint(tiny_model()), "extra": _Trap()}
    torch.save(content, tmp_path / "trap.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Trap()))
    for name in ("trap.pt", "plain.pt"):
        with pytest.raises(BackboneError, match="cannot read") as caught:
            load_openai(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_what_is_not_openais_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    good: Any = openai_checkpoint(tiny_model())
    names = good["model_state_dict"]
    cases: list[tuple[object, str]] = [
        (torch.zeros(3), "not an OpenAI Whisper"),
        ({"model_state_dict": names}, "not an OpenAI Whisper"),
        ({**good, "dims": {"n_mels": 80}}, "dims"),
        ({**good, "dims": {**good["dims"], "n_vocab": 51865}}, "n_vocab = 51865"),
        ({**good, "model_state_dict": {"encoder.conv1.weight": 3}}, "not a dict of tensors"),
        ({**good, "model_state_dict": {k: v for k, v in names.items() if "ln_post.bias" not in k}}, "is missing"),
        ({**good, "model_state_dict": {**names, "encoder.odd": torch.zeros(1)}}, "not part of Whisper"),
    ]
    for content, expected in cases:
        torch.save(content, path)
        with pytest.raises(BackboneError, match=expected) as caught:
            build_model(*load_openai(path), str(path))
        assert "\n" not in str(caught.value)
    whole = path.read_bytes()
    for damaged in (b"", b"RIFF....WAVE", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(BackboneError, match="cannot read"):
            load_openai(path)


def test_the_authors_reference_file_has_openais_names(shared_reference: Path) -> None:
    import json

    import safetensors

    for path in sorted(shared_reference.glob("ts_whisper_*.safetensors"))[:1]:
        with safetensors.safe_open(path, framework="pt") as file:
            settings = json.loads(file.metadata()["config"])
            state = {
                name.removeprefix("whisper."): file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118 - not a dict
                if name.startswith("whisper.")
            }
        heads = next(value for key, value in settings.items() if "head" in key)
        config, renamed = convert_openai(state, heads, heads, str(path))
        model = build_model(config, renamed, str(path))
        assert sum(p.numel() for p in model.parameters()) == sum(t.numel() for t in renamed.values())
