"""Every layout of a self-supervised encoder ends in the same model; every wrong one ends in one line that says why."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tone
from tiny_ssl import KINDS, LAYERS, WIDTH, randomise, tiny_config, tiny_model
from transformers import (
    AutoModel,
    HubertForCTC,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2ForPreTraining,
    WavLMForCTC,
)
from whisper_files import tiny_model as tiny_whisper
from whisper_files import write_ctranslate2, write_hub

from softspoken.backbones import WhisperBackbone
from softspoken.errors import BackboneError
from softspoken_lab.noise.encoders import load_encoder
from softspoken_lab.noise.ssl import SSLBackbone, SSLKind

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")

CTC = {"hubert": HubertForCTC, "wavlm": WavLMForCTC, "wav2vec2": Wav2Vec2ForCTC}
ALL = [(kind, prenorm, norm) for kind in KINDS for prenorm in (False, True) for norm in ("group", "layer")]
SPEECH = [tone(0.5, seed=1), tone(0.3, seed=2)]


def write(folder: Path, model: Any, normalised: bool | None = True, shard_size: str = "1GB") -> Path:
    """transformers' own layout, written by transformers."""
    model.save_pretrained(folder, max_shard_size=shard_size)
    if normalised is not None:
        Wav2Vec2FeatureExtractor(do_normalize=normalised).save_pretrained(folder)
    return folder


def loaded(reference: str | Path) -> SSLBackbone:
    backbone = load_encoder(str(reference))
    assert isinstance(backbone, SSLBackbone)
    return backbone


def refused(reference: str | Path, expected: str) -> None:
    with pytest.raises(BackboneError, match=expected) as caught:
        load_encoder(str(reference))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "prenorm", "norm"), ALL)
def test_a_hub_folder_gives_layer_by_layer_what_transformers_reads_from_it(
    tmp_path: Path, kind: SSLKind, prenorm: bool, norm: Literal["group", "layer"]
) -> None:
    model = tiny_model(kind, prenorm, norm)
    folder = write(tmp_path / "hub", model)
    theirs = AutoModel.from_pretrained(folder).eval()
    ours = loaded(folder)
    values = Wav2Vec2FeatureExtractor.from_pretrained(folder)(SPEECH[0], sampling_rate=16_000, return_tensors="pt")
    expected = theirs(values.input_values, output_hidden_states=True)
    encoded = ours.encode_layers(ours.features(SPEECH[:1]))
    states = [*expected.hidden_states[:-1], expected.last_hidden_state]
    assert len(encoded.states) == len(states) == 1 + LAYERS
    for our, their in zip(encoded.states, states, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-4, atol=1e-4)
    assert (ours.name, ours.kind, ours.normalised) == (str(folder), kind, True)
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in ours.module.parameters())
    assert not ours.module.training


def old_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As torch wrote weight norm before it had parametrisations."""
    new = (("parametrizations.weight.original0", "weight_g"), ("parametrizations.weight.original1", "weight_v"))
    renamed = {}
    for name, tensor in state.items():
        for after, before in new:
            name = name.replace(after, before)
        renamed[name] = tensor
    assert renamed.keys() != state.keys()
    return renamed


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_gives_the_same_model_and_fingerprint(tmp_path: Path, kind: SSLKind) -> None:
    bare = tiny_model(kind)
    recogniser = CTC[kind](tiny_config(kind))
    getattr(recogniser, kind).load_state_dict(bare.state_dict())
    folders = {name: tmp_path / name for name in ("bare", "half", "shards", "ctc", "old", "pickled", "old_pickled")}
    write(folders["bare"], bare)
    write(folders["half"], tiny_model(kind).half())
    write(folders["shards"], bare, shard_size="20KB")
    assert len(list(folders["shards"].glob("*.safetensors"))) > 2
    write(folders["ctc"], recogniser)
    assert "lm_head.weight" in load_file(folders["ctc"] / "model.safetensors")
    for name, source in (("old", bare), ("pickled", bare), ("old_pickled", recogniser)):
        write(folders[name], source)
        state = load_file(folders[name] / "model.safetensors")
        state = state if name == "pickled" else old_names(state)
        (folders[name] / "model.safetensors").unlink()
        if name == "old":
            save_file(state, folders[name] / "model.safetensors")
        else:
            torch.save(state, folders[name] / "pytorch_model.bin")
    backbones = {name: loaded(folder) for name, folder in folders.items()}
    expected = backbones["bare"].encode(backbones["bare"].features(SPEECH)).states
    for name, backbone in backbones.items():
        assert backbone.fingerprint == backbones["bare"].fingerprint, name
        states = backbone.encode(backbone.features(SPEECH)).states
        tolerance = 0.1 if name == "half" else 1e-6
        torch.testing.assert_close(states, expected, rtol=tolerance, atol=tolerance)
    assert loaded(write(tmp_path / "other", tiny_model(kind, seed=1))).fingerprint != backbones["bare"].fingerprint


def test_a_pretraining_head_is_left_out(tmp_path: Path) -> None:
    model = Wav2Vec2ForPreTraining(tiny_config("wav2vec2", codevector_dim=16, num_codevectors_per_group=8))
    randomise(model)
    backbone = loaded(write(tmp_path / "hub", model))
    features = backbone.features(SPEECH[:1])
    expected = model.wav2vec2.eval()(features.values[:, 0]).last_hidden_state
    torch.testing.assert_close(backbone.encode(features).states, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_in_training_mode_too_nothing_is_dropped_or_masked(tmp_path: Path, kind: SSLKind) -> None:
    """Whoever forgets evaluation mode gets the same numbers."""
    chances = dict.fromkeys(("layerdrop", "hidden_dropout", "attention_dropout", "activation_dropout"), 0.5)
    backbone = loaded(write(tmp_path / "hub", tiny_model(kind, **chances, mask_time_prob=0.5, feat_proj_dropout=0.5)))
    features = backbone.features(SPEECH)
    expected = backbone.encode(features).states
    backbone.module.train()
    torch.testing.assert_close(backbone.encode(features).states, expected)


@pytest.mark.parametrize(("stored", "expected"), [(True, True), (False, False), (None, True)])
def test_the_preprocessor_says_whether_waveforms_are_normalised(
    tmp_path: Path, stored: bool | None, expected: bool
) -> None:
    backbone = loaded(write(tmp_path / "hub", tiny_model(), stored))
    assert backbone.normalised is expected
    values = backbone.features(SPEECH[:1]).values
    assert torch.equal(values[0, 0], torch.from_numpy(SPEECH[0])) is not expected


def test_damaged_folders_say_what_is_wrong(tmp_path: Path) -> None:
    good = write(tmp_path / "good", tiny_model("wavlm"), shard_size="20KB")
    shard = sorted(path.name for path in good.glob("*.safetensors"))[0]

    def edit(name: str, change: Callable[[Path], object], expected: str) -> None:
        folder = shutil.copytree(good, tmp_path / "bad")
        change(folder / name)
        refused(folder, expected)
        shutil.rmtree(folder)

    def settings(name: str, **values: Any) -> Callable[[Path], object]:
        text = json.dumps({**json.loads((good / name).read_text()), **values})
        return lambda path: path.write_text(text)

    edit(shard, lambda path: path.unlink(), f"{shard} is missing")
    edit(shard, lambda path: path.write_bytes(path.read_bytes()[:-7]), "damaged or incomplete")
    edit(shard, lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid"), "git lfs pull")
    edit("model.safetensors.index.json", lambda path: path.unlink(), "neither model.safetensors nor")
    edit("config.json", lambda path: path.write_text("{not json"), "cannot read")
    edit("config.json", settings("config.json", model_type="llama"), "'llama' model; give a whisper, hubert, wavlm")
    edit("config.json", settings("config.json", hidden_size=WIDTH + 1), "no usable wavlm model")
    edit("config.json", settings("config.json", conv_stride=[5]), "no usable wavlm model")
    edit("config.json", settings("config.json", num_hidden_layers=0), "0 layers")
    edit("config.json", settings("config.json", num_hidden_layers=LAYERS + 1), "is missing")
    edit("config.json", settings("config.json", num_hidden_layers=LAYERS - 1), "not part of wavlm")
    edit("config.json", settings("config.json", model_type="hubert"), "not part of hubert")
    edit("config.json", settings("config.json", intermediate_size=50), "shape")
    edit("preprocessor_config.json", lambda path: path.write_text("[]"), "not a JSON object")
    edit("preprocessor_config.json", settings("preprocessor_config.json", do_normalize="no"), "true or false")
    edit("preprocessor_config.json", settings("preprocessor_config.json", sampling_rate=8000), "8000 Hz")


def test_missing_and_broken_tensors_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "hub", tiny_model())
    good = load_file(folder / "model.safetensors")
    name = "encoder.layers.1.attention.k_proj.bias"
    save_file({key: value for key, value in good.items() if key != name}, folder / "model.safetensors")
    refused(folder, f"{name} is missing")
    save_file({**good, name: torch.full_like(good[name], torch.nan)}, folder / "model.safetensors")
    refused(folder, f"{name} holds values that are not finite")
    save_file({"lm_head.weight": torch.zeros(2, 2)}, folder / "model.safetensors")
    refused(folder, r"\(and \d+ more\) is missing")


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("ran").touch, ())


def test_a_pickle_of_anything_but_tensors_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path / "hub", tiny_model())
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    torch.save({"encoder.weight": _Runs()}, path)
    refused(folder, "cannot read .* as tensors .* save_pretrained")
    path.write_bytes(pickle.dumps(_Runs()))
    refused(folder, "cannot read .* as tensors")
    path.write_bytes(b"PK\x03\x04 nothing")
    refused(folder, "cannot read .* as tensors")
    torch.save([torch.zeros(1)], path)
    refused(folder, "not a dict of tensors")
    assert not Path("ran").exists()


def test_whisper_references_give_a_whisper(tmp_path: Path) -> None:
    for folder in (write_hub(tiny_whisper(), tmp_path / "hub"), write_ctranslate2(tiny_whisper(), tmp_path / "ct2")):
        backbone = load_encoder(str(folder), dtype="bfloat16")
        assert isinstance(backbone, WhisperBackbone)
        assert backbone.dtype == torch.bfloat16
        assert backbone.name == str(folder)


def test_wrong_references_say_what_to_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused("hubbert", r"tiny\.en, base, .*hubert-base, .*wavlm-base-plus")
    refused("./missing/folder", "no such file or folder")
    refused("missing.pt", "no such file or folder")
    refused(tmp_path, "neither model.safetensors")


# The hub


def serve(monkeypatch: pytest.MonkeyPatch, repository: Path) -> list[list[str]]:
    """A hub with one repository; what was asked of it, in order."""
    asked: list[list[str]] = []

    def fake(name: str, allow_patterns: list[str]) -> str:
        asked.append([name, *allow_patterns])
        folder = repository.with_name("fetched") / "0123456789abcdef"
        folder.mkdir(parents=True, exist_ok=True)
        for path in repository.iterdir():
            if any(path.match(pattern) for pattern in allow_patterns):
                shutil.copy(path, folder)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fake)
    return asked


def test_the_hub_is_asked_for_a_pickle_only_where_there_is_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "hub", tiny_model(), normalised=False)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    asked = serve(monkeypatch, folder)
    first = loaded("hubert-base")
    assert {names[0] for names in asked} == {"facebook/hubert-base-ls960"}
    assert not [name for names in asked for name in names if "pytorch" in name or name == "*"]
    assert (first.name, first.normalised) == ("hubert-base", False)
    shutil.rmtree(tmp_path / "fetched")
    asked.clear()
    (folder / "model.safetensors").unlink()
    assert loaded("someone/hubert").fingerprint == first.fingerprint
    assert "pytorch_model.bin" in asked[-1]
    assert not any("pytorch_model.bin" in names for names in asked[:-1])


def test_no_weights_of_another_model_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "hub", tiny_model())
    (folder / "config.json").write_text('{"model_type": "bert"}')
    asked = serve(monkeypatch, folder)
    refused("someone/bert", "'bert' model")
    assert len(asked) == 1
    assert not [name for name in asked[0] if "model." in name]


def test_a_whisper_repository_is_known_by_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, write_hub(tiny_whisper(), tmp_path / "hub"))
    assert isinstance(load_encoder("someone/whisper"), WhisperBackbone)


def test_an_unreachable_hub_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    refused("wavlm-large", "local folder")
