"""Where Whisper's weights come from: the embedded defaults, a model hub, a local folder, an OpenAI file.

Every way ends in the same frozen float32 model with a fingerprint of its weights. Nothing is unpickled but tensors.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor
from transformers import WhisperConfig, WhisperForConditionalGeneration

from softspoken.backbones.ctranslate2 import load_ctranslate2
from softspoken.backbones.embedded import EMBEDDED
from softspoken.backbones.files import has_safetensors, read_json, read_safetensors, refuse_pointer
from softspoken.backbones.hub import HUB_SIZES, is_hub_id, snapshot
from softspoken.backbones.openai import load_openai
from softspoken.backbones.vocabulary import check_tokenizer, read_tokenizer, with_cantonese
from softspoken.backbones.weights import build_model, fingerprint, make_config
from softspoken.defaults import DEFAULT_BACKBONE
from softspoken.errors import BackboneError

_TOKENIZER_FILES = ("tokenizer.json", "vocabulary.json", "vocabulary.txt")

ENGLISH_VOCABULARY = 51864
MULTILINGUAL_VOCABULARY = 51865
CANTONESE_VOCABULARY = 51866


@dataclass(frozen=True)
class LoadedWhisper:
    """A frozen Whisper as read: `model` in float32 and evaluation mode, its tokenizer, and where it came from."""

    model: WhisperForConditionalGeneration
    tokenizer: Tokenizer
    name: str
    """How it was asked for; 'tiny.en' for 'embedded'."""
    fingerprint: str
    """Digest of the weights, the same whatever file they came in; see `weights.fingerprint`."""
    source: str
    """Where the weights were found, in words."""


def load_whisper(reference: str = DEFAULT_BACKBONE) -> LoadedWhisper:
    """A frozen Whisper by reference.

    * 'embedded' or 'tiny.en', and 'base': real OpenAI weights without any hub, their digest verified;
    * a hub id ('openai/whisper-small'), or OpenAI's name of a size ('small', 'large-v3', 'turbo');
    * a local folder in hub layout (config.json, safetensors) or in faster-whisper's (CTranslate2, model.bin);
    * an OpenAI `.pt` file.

    Raises BackboneError, in one line that says what to do, when it is missing, incomplete, damaged or not a Whisper.
    """
    name = DEFAULT_BACKBONE if reference == "embedded" else reference
    if name in EMBEDDED:
        return _load_embedded(name)
    path = Path(name).expanduser()
    if path.is_file():
        return _load_file(path, name)
    if path.is_dir():
        return _load_folder(path, name, source=f"folder {path}")
    repository = HUB_SIZES.get(name, name)
    if path.suffix == ".pt" or not is_hub_id(repository):
        known = ", ".join([*EMBEDDED, *HUB_SIZES])
        raise BackboneError(
            f"no backbone '{reference}': no such file or folder, and not a hub id like 'openai/whisper-small'; "
            f"give a path, a hub id, or one of {known}"
        )
    folder = snapshot(repository)
    return _load_folder(folder, name, source=f"hub {repository}, revision {folder.name[:12]}")


def _load_embedded(name: str) -> LoadedWhisper:
    embedded = EMBEDDED[name]
    source, parts, tokenizer_path = embedded.locate()
    config, state = load_ctranslate2(*parts)
    loaded = _finish(config, state, read_tokenizer(tokenizer_path), name, source.requirements)
    if loaded.fingerprint != embedded.fingerprint:
        raise BackboneError(
            f"the tensors of '{name}' in {source.requirements} have fingerprint {loaded.fingerprint[:12]}, expected "
            f"{embedded.fingerprint[:12]}: refused; delete {parts[0].parent} and fetch them again"
        )
    return loaded


def _load_file(path: Path, name: str) -> LoadedWhisper:
    if path.name == "model.bin":
        raise BackboneError(f"{path} is one file of a faster-whisper folder; give the folder {path.parent}")
    if path.suffix != ".pt":
        raise BackboneError(f"{path} is not an OpenAI .pt file; give a .pt file, a folder or a hub id")
    refuse_pointer(path)
    config, state = load_openai(path)
    return _finish(config, state, _tokenizer(path.parent, config.vocab_size), name, f"OpenAI file {path}")


def _load_folder(folder: Path, name: str, source: str) -> LoadedWhisper:
    if has_safetensors(folder):
        config, state = _load_safetensors(folder)
    elif (folder / "model.bin").is_file():
        refuse_pointer(folder / "model.bin")
        config, state = load_ctranslate2(folder / "model.bin")
    elif any(folder.glob("pytorch_model*.bin")):
        raise BackboneError(
            f"{folder} has only pickled weights (pytorch_model.bin), which are never loaded; "
            "save it again with save_pretrained, which writes model.safetensors"
        )
    else:
        files = sorted(path.name for path in folder.glob("*.pt"))
        advice = f"give the file itself, {folder / files[0]}" if files else "fetch or convert the model again"
        raise BackboneError(f"{folder} holds neither model.safetensors nor model.bin; {advice}")
    return _finish(config, state, _tokenizer(folder, config.vocab_size), name, source)


def _load_safetensors(folder: Path) -> tuple[WhisperConfig, dict[str, Tensor]]:
    values = read_json(folder / "config.json")
    if values.get("model_type") != "whisper":
        raise BackboneError(f"{folder}/config.json is of a '{values.get('model_type')}' model, expected 'whisper'")
    config = make_config(f"{folder}/config.json", **_plain(values))
    # A model saved without its output projection lacks the common prefix.
    state = {
        name if name.startswith(("model.", "proj_out.")) else f"model.{name}": tensor
        for name, tensor in read_safetensors(folder).items()
    }
    return config, state


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Only what describes the network: no stored precision, no quantisation, no generation options."""
    known = WhisperConfig().to_dict().keys() - {"dtype", "torch_dtype", "transformers_version", "architectures"}
    return {key: value for key, value in values.items() if key in known}


def _tokenizer(folder: Path, vocabulary_size: int) -> Tokenizer:
    """The tokenizer beside the weights; else the embedded one with that many entries, as OpenAI's models share them."""
    for file in _TOKENIZER_FILES:
        if (folder / file).is_file():
            return read_tokenizer(folder / file)
    if vocabulary_size == ENGLISH_VOCABULARY:
        return read_tokenizer(EMBEDDED["tiny.en"].locate_tokenizer())
    if vocabulary_size in (MULTILINGUAL_VOCABULARY, CANTONESE_VOCABULARY):
        multilingual = read_tokenizer(EMBEDDED["base"].locate_tokenizer())
        return multilingual if vocabulary_size == MULTILINGUAL_VOCABULARY else with_cantonese(multilingual)
    raise BackboneError(
        f"{folder} has no tokenizer.json and no Whisper of OpenAI's has a vocabulary of {vocabulary_size}; "
        "put the model's tokenizer.json beside its weights"
    )


def _finish(
    config: WhisperConfig, state: dict[str, Tensor], tokenizer: Tokenizer, name: str, source: str
) -> LoadedWhisper:
    check_tokenizer(tokenizer, config.vocab_size, source)
    model = build_model(config, state, source)
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.config, key, tokenizer.token_to_id("<|endoftext|>"))
    model.config.decoder_start_token_id = tokenizer.token_to_id("<|startoftranscript|>")
    return LoadedWhisper(model, tokenizer, name, fingerprint(model.state_dict()), source)
