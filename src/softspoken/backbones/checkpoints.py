"""Where Whisper's weights come from: the embedded defaults, a model hub, a local folder, an OpenAI file.

Every way ends in the same arrays with a fingerprint. They are read from their files when they are asked for, and
checked and digested the first time that they are met. Nothing is unpickled but tensors.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from softspoken.backbones.ctranslate2 import load_ctranslate2
from softspoken.backbones.embedded import EMBEDDED
from softspoken.backbones.features import FRAME_RATE_HZ, MAX_WINDOW_S, log_mel, window_samples
from softspoken.backbones.files import has_safetensors, read_json, read_safetensors, refuse_pointer, shards
from softspoken.backbones.hub import HUB_SIZES, is_hub_id, snapshot
from softspoken.backbones.tokens import WhisperTokens, check_tokenizer, read_tokenizer, with_cantonese
from softspoken.backbones.weights import (
    DECODER_POSITIONS,
    EMBEDDING,
    ENCODER_POSITIONS,
    StackName,
    StoredWeights,
    WhisperConfig,
    checked_weights,
    fingerprint,
    make_config,
)
from softspoken.defaults import DEFAULT_BACKBONE
from softspoken.errors import BackboneError, MissingExtra
from softspoken.files import replace_text
from softspoken.packages import cache_folder

_TOKENIZER_FILES = ("tokenizer.json", "vocabulary.json", "vocabulary.txt")

ENGLISH_VOCABULARY = 51864
MULTILINGUAL_VOCABULARY = 51865
CANTONESE_VOCABULARY = 51866


@dataclass(frozen=True)
class StoredWhisper:
    """A frozen Whisper as its files have it: what serving needs of one."""

    config: WhisperConfig
    weights: StoredWeights
    tokenizer: Any
    """Its `tokenizers.Tokenizer`."""
    name: str
    """How it was asked for; 'tiny.en' for 'embedded'."""
    fingerprint: str
    """Digest of the weights, the same whatever file they came in; see `weights.fingerprint`."""
    source: str
    """Where the weights were found, in words."""

    @cached_property
    def tokens(self) -> WhisperTokens:
        return WhisperTokens(self.tokenizer, self.config.vocab_size)

    @property
    def max_frames(self) -> int:
        """Encoder positions there are (1,500: 30 s)."""
        return self.config.max_source_positions

    @property
    def max_tokens(self) -> int:
        """Decoder positions there are (448)."""
        return self.config.max_target_positions

    @property
    def width(self) -> int:
        """D."""
        return self.config.d_model

    @property
    def layers(self) -> dict[StackName, int]:
        """How many layers each stack has."""
        return {"encoder": self.config.encoder_layers, "decoder": self.config.decoder_layers}

    @property
    def parameter_count(self) -> int:
        """Number of weights (tied ones counted once)."""
        return self.config.parameters

    def first_positions(self, stack: StackName, count: int) -> Float32[np.ndarray, "_ D"]:
        """The embeddings of a stack's first positions."""
        table: np.ndarray = self.weights[ENCODER_POSITIONS if stack == "encoder" else DECODER_POSITIONS][:count]
        return table

    def opening(self) -> Float32[np.ndarray, " D"]:
        """Embedding of `<|startofprev|>`: Whisper expects earlier text behind it."""
        return self.weights.stored(EMBEDDING).float32(np.array(self.tokens.start_of_previous))

    def keys_values(
        self, stack: StackName, layer: int, rows: Float32[np.ndarray, "P N D"]
    ) -> tuple[Float32[np.ndarray, "P N D"], Float32[np.ndarray, "P N D"]]:
        """What a layer's self-attention makes of rows that enter it: its normalisation and two projections."""
        name, weights = f"model.{stack}.layers.{layer}.self_attn", self.weights
        centred = rows - rows.mean(axis=-1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(1e-5))
        normed = normed * weights[f"{name}_layer_norm.weight"] + weights[f"{name}_layer_norm.bias"]
        keys = normed @ weights[f"{name}.k_proj.weight"].T
        values = normed @ weights[f"{name}.v_proj.weight"].T + weights[f"{name}.v_proj.bias"]
        return keys, values

    def features(self, audio: Sequence[np.ndarray], windows_s: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
        """`log_mel` of mono 16 kHz waveforms, each in a window of so many seconds (None: as long as the audio)."""
        limit = min(MAX_WINDOW_S, self.max_frames / FRAME_RATE_HZ)
        given = zip(audio, windows_s, strict=True)
        windows = [window_samples(waveform.size, window_s, limit) for waveform, window_s in given]
        return log_mel(audio, windows, self.config.num_mel_bins)


def read_whisper(reference: str = DEFAULT_BACKBONE) -> StoredWhisper:
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


def _load_embedded(name: str) -> StoredWhisper:
    embedded = EMBEDDED[name]
    source, parts, tokenizer_path = embedded.locate()
    config, weights = load_ctranslate2(*parts)
    loaded = _finish(config, weights, read_tokenizer(tokenizer_path), name, source.requirements, parts)
    if loaded.fingerprint != embedded.fingerprint:
        raise BackboneError(
            f"the tensors of '{name}' in {source.requirements} have fingerprint {loaded.fingerprint[:12]}, expected "
            f"{embedded.fingerprint[:12]}: refused; delete {parts[0].parent} and fetch them again"
        )
    return loaded


def _load_file(path: Path, name: str) -> StoredWhisper:
    if path.name == "model.bin":
        raise BackboneError(f"{path} is one file of a faster-whisper folder; give the folder {path.parent}")
    if path.suffix != ".pt":
        raise BackboneError(f"{path} is not an OpenAI .pt file; give a .pt file, a folder or a hub id")
    refuse_pointer(path)
    if find_spec("torch") is None:
        raise MissingExtra("torch", "cuda", f"OpenAI's file {path.name}, a pickle of tensors,")
    from softspoken.backbones.openai import load_openai

    config, state = load_openai(path)
    weights = StoredWeights.of(state)
    return _finish(config, weights, _tokenizer(path.parent, config.vocab_size), name, f"OpenAI file {path}", [path])


def _load_folder(folder: Path, name: str, source: str) -> StoredWhisper:
    if has_safetensors(folder):
        config, weights = _load_safetensors(folder)
        files = [folder / "config.json", *shards(folder)]
    elif (folder / "model.bin").is_file():
        refuse_pointer(folder / "model.bin")
        files = [folder / "model.bin"]
        config, weights = load_ctranslate2(*files)
    elif any(folder.glob("pytorch_model*.bin")):
        raise BackboneError(
            f"{folder} has only pickled weights (pytorch_model.bin), which are never loaded; "
            "save it again with save_pretrained, which writes model.safetensors"
        )
    else:
        found = sorted(path.name for path in folder.glob("*.pt"))
        advice = f"give the file itself, {folder / found[0]}" if found else "fetch or convert the model again"
        raise BackboneError(f"{folder} holds neither model.safetensors nor model.bin; {advice}")
    return _finish(config, weights, _tokenizer(folder, config.vocab_size), name, source, files)


def _load_safetensors(folder: Path) -> tuple[WhisperConfig, StoredWeights]:
    values = read_json(folder / "config.json")
    origin = f"{folder}/config.json"
    if values.get("model_type") != "whisper":
        raise BackboneError(f"{origin} is of a '{values.get('model_type')}' model, expected 'whisper'")
    if values.get("activation_function", "gelu") != "gelu" or values.get("scale_embedding", False):
        raise BackboneError(f"{origin} has another activation than 'gelu', or scaled embeddings; Whisper has neither")
    # Only what describes the network: no stored precision, no quantisation, no generation options.
    config = make_config(origin, **{field.name: values.get(field.name) for field in fields(WhisperConfig)})
    stored = read_safetensors(folder)
    # A model saved without its output projection lacks the common prefix.
    named = {name if name.startswith(("model.", "proj_out.")) else f"model.{name}": name for name in stored}
    return config, StoredWeights({name: stored.stored(own) for name, own in named.items()})


def _tokenizer(folder: Path, vocabulary_size: int) -> Any:
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
    config: WhisperConfig, weights: StoredWeights, tokenizer: Any, name: str, source: str, files: Sequence[Path]
) -> StoredWhisper:
    """Check everything and digest it, unless that was done before with files that have not changed since."""
    record = cache_folder() / "fingerprints" / _stamp(files)
    known = _read_record(record)
    if known is None:
        check_tokenizer(tokenizer, config.vocab_size, source)
        weights = checked_weights(config, weights, source)
        known = fingerprint(weights)
        _write_record(record, known)
    return StoredWhisper(config, weights, tokenizer, name, known, source)


def _stamp(files: Sequence[Path]) -> str:
    """Names these files as they are now: where they lie, their sizes, and when they were changed."""
    facts = []
    for file in files:
        status = file.stat()
        facts.append((str(file.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _read_record(path: Path) -> str | None:
    try:
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else None


def _write_record(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, text + "\n")
    except OSError:
        # Without it the next start takes longer, and that is all.
        return
