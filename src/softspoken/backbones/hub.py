"""Repositories on the Hugging Face hub: only safetensors, JSON and CTranslate2 files are fetched.

Some self-supervised encoders have nothing but a pytorch_model.bin there: only then it is fetched, and read as tensors.
"""

import re
from pathlib import Path
from typing import Literal

from softspoken.errors import BackboneError

SSLKind = Literal["hubert", "wavlm", "wav2vec2"]

HUB_SIZES: dict[str, str] = {
    size: f"openai/whisper-{repository}"
    for size, repository in (
        ("tiny", "tiny"),
        ("base.en", "base.en"),
        ("small.en", "small.en"),
        ("small", "small"),
        ("medium.en", "medium.en"),
        ("medium", "medium"),
        ("large-v2", "large-v2"),
        ("large-v3", "large-v3"),
        ("turbo", "large-v3-turbo"),
    )
}
"""OpenAI's names of the sizes that are not embedded, and their repositories."""

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

_SAFE_WEIGHTS = ["model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors"]
_WHISPER_FILES = ["config.json", "tokenizer.json", "vocabulary.json", "vocabulary.txt"]
_SSL_FILES = ["config.json", "preprocessor_config.json"]
PICKLED_WEIGHTS = "pytorch_model.bin"


def is_hub_id(name: str) -> bool:
    """Whether a name has the form 'owner/name'."""
    return re.fullmatch(r"[\w][\w.-]*/[\w][\w.-]*", name) is not None


def snapshot(repository: str) -> Path:
    """The folder of a Whisper repository, from the hub's own cache or fetched; its name is the revision.

    Raises BackboneError when it does not exist, may not be read, or the hub cannot be reached.
    """
    folder = _fetch(repository, [*_WHISPER_FILES, *_SAFE_WEIGHTS])
    if not any(folder.glob("model*.safetensors*")):
        # Perhaps a faster-whisper repository: its model.bin is read by our own reader and never unpickled.
        folder = _fetch(repository, [*_WHISPER_FILES, "model.bin"])
    return folder


def description(repository: str) -> Path:
    """The folder of any repository with only the small files that say what model it is. Raises as `snapshot` does."""
    return _fetch(repository, _SSL_FILES)


def ssl_snapshot(repository: str) -> Path:
    """The folder of a self-supervised encoder, with its weights. Raises as `snapshot` does."""
    folder = _fetch(repository, [*_SSL_FILES, *_SAFE_WEIGHTS])
    if not any(folder.glob("model*.safetensors*")):
        folder = _fetch(repository, [*_SSL_FILES, PICKLED_WEIGHTS])
    return folder


def is_cached(repository: str) -> bool:
    """Whether the hub's own cache holds weights that can be read (whole, or the index of their parts)."""
    from huggingface_hub import try_to_load_from_cache

    other = PICKLED_WEIGHTS if repository in SSL_MODELS.values() else "model.bin"
    names = ("model.safetensors", "model.safetensors.index.json", other)
    return any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)


def _fetch(repository: str, patterns: list[str]) -> Path:
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download

    local = "or give the path of a local folder, or the embedded 'tiny.en' or 'base'"
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns))
    except (hub.GatedRepoError, hub.RepositoryNotFoundError):
        problem = f"does not exist on the hub or may not be read; check its name, log in with 'hf auth login', {local}"
    except (hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled):
        problem = f"is not in the hub's cache and the hub cannot be reached; connect, {local}"
    except hub.HFValidationError:
        problem = f"is not a hub id; give 'owner/name', {local}"
    except Exception as error:  # networks, proxies and disks fail in many ways
        reason = re.sub(r"\s+", " ", str(error))[:160]
        problem = f"could not be fetched from the hub ({reason}); try again, {local}"
    raise BackboneError(f"'{repository}' {problem}") from None
