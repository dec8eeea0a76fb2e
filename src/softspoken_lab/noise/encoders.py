"""Frozen encoders by reference: any Whisper, and HuBERT, WavLM or wav2vec 2.0 from a hub or a folder in its layout.

Every way ends in the same frozen float32 model with a fingerprint of its weights. Heads for recognition or pretraining
that come in the same file are left out. Nothing is unpickled but tensors.
"""

import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2Model, WavLMConfig, WavLMModel

from softspoken.backbones import Backbone, load_backbone
from softspoken.backbones.embedded import EMBEDDED
from softspoken.backbones.features import SAMPLE_RATE_HZ
from softspoken.backbones.files import has_safetensors, one_line, read_json, read_safetensors, refuse_pointer
from softspoken.backbones.hub import HUB_SIZES, SAFE_WEIGHTS, fetch, is_hub_id
from softspoken.backbones.model import check_device
from softspoken.backbones.weights import check_shapes, fingerprint
from softspoken.defaults import DEFAULT_BACKBONE
from softspoken.errors import BackboneError
from softspoken_lab.noise.ssl import SSLBackbone

SSL_MODELS: dict[str, str] = {
    "hubert-base": "facebook/hubert-base-ls960",
    "hubert-large": "facebook/hubert-large-ll60k",
    "wavlm-base": "microsoft/wavlm-base",
    "wavlm-base-plus": "microsoft/wavlm-base-plus",
    "wavlm-large": "microsoft/wavlm-large",
    "wav2vec2-base": "facebook/wav2vec2-base",
    "wav2vec2-large": "facebook/wav2vec2-large-lv60",
}
"""Short names of self-supervised encoders, and their repositories."""
_DESCRIPTIONS = ["config.json", "preprocessor_config.json"]
PICKLED_WEIGHTS = "pytorch_model.bin"

_CLASSES: dict[str, tuple[Any, Any]] = {
    "hubert": (HubertConfig, HubertModel),
    "wavlm": (WavLMConfig, WavLMModel),
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
}
_AT_REST: dict[str, Any] = {
    "layerdrop": 0.0,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "apply_spec_augment": False,
    # At zero there is no embedding of masked frames, which only pretraining uses.
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    # What stands behind the encoder in sequence-to-sequence models.
    "add_adapter": False,
}
"""A frozen model drops and masks nothing, in whatever mode its modules are."""
_PARTS = ("feature_extractor.", "feature_projection.", "encoder.")
_WEIGHT_NORM = {
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}
"""torch's older names of a weight's magnitude and direction, and the ones it writes now."""


@dataclass(frozen=True)
class LoadedSSL:
    """A frozen self-supervised encoder as read: `model` in float32 and evaluation mode, and where it came from."""

    model: Any
    """transformers' HubertModel, WavLMModel or Wav2Vec2Model."""
    normalised: bool
    """Whether its waveforms have zero mean and unit variance."""
    name: str
    """How it was asked for."""
    fingerprint: str
    """Digest of the encoder's weights, the same whatever file they came in; see `weights.fingerprint`."""
    source: str
    """Where the weights were found, in words."""


def load_encoder(reference: str = DEFAULT_BACKBONE, device: str = "cpu", dtype: str = "float32") -> Backbone:
    """A frozen model whose encoder is wanted: HuBERT, WavLM or wav2vec 2.0, or any Whisper as `load_backbone` has it.

    `reference`: as for `load_ssl`, or what `load_backbone` takes. Raises BackboneError with one line when it cannot be
    had, or is another model.
    """
    check_device(device)
    loaded = load_ssl(reference)
    if loaded is None:
        return load_backbone(reference, device, dtype)
    backbone = SSLBackbone(loaded.model, loaded.name, loaded.fingerprint, loaded.normalised)
    return backbone.to(device, getattr(torch, dtype))


def load_ssl(reference: str) -> LoadedSSL | None:
    """A frozen HuBERT, WavLM or wav2vec 2.0 by reference; None where the reference is a Whisper's.

    * 'hubert-base', 'wavlm-large', ... (`SSL_MODELS`), or any hub id whose config.json is of one of these models;
    * a local folder in hub layout: config.json, model.safetensors (or its parts and their index, or a pytorch_model.bin
      of tensors), and preprocessor_config.json, which says whether waveforms are normalised (they are without it).

    Raises BackboneError, in one line that says what to do, when it is missing, incomplete, damaged or another model.
    """
    if reference in ("embedded", *EMBEDDED):
        return None
    path = Path(reference).expanduser()
    if path.is_dir():
        kind = _kind(path)
        return None if kind is None else _load_folder(path, kind, reference, f"folder {path}")
    if path.is_file() or reference in HUB_SIZES or path.suffix == ".pt":
        return None
    repository = SSL_MODELS.get(reference, reference)
    if not is_hub_id(repository):
        known = ", ".join([*EMBEDDED, *HUB_SIZES, *SSL_MODELS])
        raise BackboneError(
            f"no backbone '{reference}': no such file or folder, and not a hub id like 'facebook/hubert-base-ls960'; "
            f"give a path, a hub id, or one of {known}"
        )
    kind = _kind(fetch(repository, _DESCRIPTIONS))
    if kind is None:
        return None
    folder = _snapshot(repository)
    return _load_folder(folder, kind, reference, f"hub {repository}, revision {folder.name[:12]}")


def _snapshot(repository: str) -> Path:
    """The folder of a repository with its weights; a pytorch_model.bin only where there are no others."""
    folder = fetch(repository, [*_DESCRIPTIONS, *SAFE_WEIGHTS])
    if any(folder.glob("model*.safetensors*")):
        return folder
    return fetch(repository, [*_DESCRIPTIONS, PICKLED_WEIGHTS])


def _kind(folder: Path) -> str | None:
    """The model type of a folder; None for a Whisper, whose folders may do without."""
    path = folder / "config.json"
    kind = read_json(path).get("model_type") if path.exists() else None
    if kind is None or kind == "whisper":
        return None
    if kind not in _CLASSES:
        raise BackboneError(f"{path} is of a '{kind}' model; give a whisper, {', '.join(_CLASSES)}")
    return str(kind)


def _load_folder(folder: Path, kind: str, name: str, source: str) -> LoadedSSL:
    values = read_json(folder / "config.json")
    normalised = _normalised(folder)
    if has_safetensors(folder):
        stored = {name: torch.from_numpy(array) for name, array in read_safetensors(folder).items()}
    elif (folder / PICKLED_WEIGHTS).is_file():
        stored = read_tensor_pickle(folder / PICKLED_WEIGHTS)
    else:
        raise BackboneError(
            f"{folder} holds neither model.safetensors nor a whole {PICKLED_WEIGHTS}; fetch it again, or save the "
            "model with save_pretrained, which writes model.safetensors"
        )
    model = build_ssl(kind, values, encoder_tensors(stored, kind), source)
    return LoadedSSL(model, normalised, name, fingerprint(model.state_dict()), source)


def _normalised(folder: Path) -> bool:
    path = folder / "preprocessor_config.json"
    # What transformers takes where a model does not say.
    values = read_json(path) if path.exists() else {}
    rate, normalised = values.get("sampling_rate", SAMPLE_RATE_HZ), values.get("do_normalize", True)
    if rate != SAMPLE_RATE_HZ:
        raise BackboneError(f"{path}: trained on audio of {rate} Hz, expected {SAMPLE_RATE_HZ}; give another model")
    if not isinstance(normalised, bool):
        raise BackboneError(f"{path}: do_normalize is {normalised!r}, expected true or false; fetch it again")
    return normalised


def encoder_tensors(stored: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """The encoder's tensors among those of a file, under the names that transformers gives the bare model now."""
    prefix = f"{kind}."
    if any(name.startswith(prefix) for name in stored):
        stored = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
    state = {}
    for name, tensor in stored.items():
        if not name.startswith(_PARTS):
            continue
        for old, new in _WEIGHT_NORM.items():
            if name.endswith(old):
                name = name.removesuffix(old) + new
        state[name] = tensor
    return state


def build_ssl(kind: str, values: Mapping[str, Any], state: Mapping[str, Tensor], origin: str) -> Any:
    """A frozen float32 model in evaluation mode from the values of a config.json and the encoder's tensors.

    Raises BackboneError, naming `origin`, for values that make no model and for tensors that are missing, unknown, of
    another shape or not finite.
    """
    config_class, model_class = _CLASSES[kind]
    # Only what describes the network: no stored precision, and no attention that this machine may not have.
    known = config_class().to_dict().keys() - {"dtype", "torch_dtype", "num_feat_extract_layers"}
    plain = {key: value for key, value in {**values, **_AT_REST}.items() if key in known and not key.startswith("_")}
    try:
        config = config_class(**plain)
        if config.num_hidden_layers < 1:
            raise ValueError(f"{config.num_hidden_layers} layers")
        with torch.device("meta"):
            model = model_class(config)
    except Exception as error:  # transformers' validators raise classes of their own
        raise BackboneError(
            f"{origin}: config.json makes no usable {kind} model ({one_line(error)}); fetch it again"
        ) from None
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    check_shapes({name: tuple(tensor.shape) for name, tensor in state.items()}, expected, origin, kind)
    model.load_state_dict(_finite_float32(state, origin), assign=True)
    return model.eval().requires_grad_(False)


def _finite_float32(state: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """The weights in float32 (counters as they are); BackboneError, naming `origin`, for one that is not finite."""
    loaded = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    for name, tensor in loaded.items():
        if not bool(torch.isfinite(tensor).all()):
            raise BackboneError(f"{origin}: {name} holds values that are not finite; fetch or convert it again")
    return loaded


def read_tensor_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a pytorch_model.bin; whatever else is pickled in it is refused, never run."""
    refuse_pointer(path)
    advice = "fetch it again, or save the model with save_pretrained, which writes model.safetensors"
    try:
        with warnings.catch_warnings():  # torch talks about strange pickles; the error below says all
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged pickle can raise anything
        raise BackboneError(f"cannot read {path} as tensors ({one_line(error).split('. ')[0]}); {advice}") from None
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    ):
        raise BackboneError(f"{path} is not a dict of tensors; {advice}")
    return dict(content)
