"""Repositories on the Hugging Face hub: only safetensors, JSON and CTranslate2 files are fetched."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from softspoken.errors import BackboneError, SoftspokenError

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

SAFE_WEIGHTS = ["model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors"]
_WHISPER_FILES = ["config.json", "tokenizer.json", "vocabulary.json", "vocabulary.txt"]


def is_hub_id(name: str) -> bool:
    """Whether a name has the form 'owner/name'."""
    return re.fullmatch(r"[\w][\w.-]*/[\w][\w.-]*", name) is not None


def snapshot(repository: str) -> Path:
    """The folder of a Whisper repository, from the hub's own cache or fetched; its name is the revision.

    Raises BackboneError when it does not exist, may not be read, or the hub cannot be reached.
    """
    folder = fetch(repository, [*_WHISPER_FILES, *SAFE_WEIGHTS])
    if not any(folder.glob("model*.safetensors*")):
        # Perhaps a faster-whisper repository: its model.bin is read by our own reader and never unpickled.
        folder = fetch(repository, [*_WHISPER_FILES, "model.bin"])
    return folder


def is_cached(repository: str) -> bool:
    """Whether the hub's own cache holds weights that can be read (whole, or the index of their parts)."""
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json", "model.bin")
    return any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)


def fetch(repository: str, patterns: list[str]) -> Path:
    """The folder of a repository with the files that match. Raises as `snapshot` does."""
    from huggingface_hub import snapshot_download

    with hub_errors("download", repository, BackboneError, "give a local folder, or the embedded 'tiny.en' or 'base'"):
        return Path(snapshot_download(repository, allow_patterns=patterns))


@contextmanager
def hub_errors(doing: str, repository: str, kind: type[SoftspokenError], instead: str) -> Iterator[None]:
    """Turn whatever the hub's client raises into one line that says what to do."""
    from huggingface_hub import errors as hub

    try:
        yield
        return
    except hub.HFValidationError:
        problem = "it is not a hub id; give 'owner/name'"
    except hub.LocalTokenNotFoundError:
        problem = "not logged in; log in with 'hf auth login'"
    except (hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled):
        problem = "it is not in the hub's cache and the hub cannot be reached; connect"
    except (hub.GatedRepoError, hub.RepositoryNotFoundError):
        problem = (
            "it does not exist on the hub, or you have no right to it; check its name, log in with 'hf auth login'"
        )
    except Exception as error:  # networks, proxies and disks fail in many ways
        reason = re.sub(r"\s+", " ", str(error))[:160] or type(error).__name__
        problem = f"{reason}; try again"
    raise kind(f"cannot {doing} '{repository}': {problem}, or {instead}")
