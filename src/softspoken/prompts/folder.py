"""Folders of stored prompts and recognisers: written together or not at all, their metadata read, from and to a hub."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from softspoken.backbones.hub import hub_errors
from softspoken.errors import PromptDamaged, PromptError
from softspoken.files import replacing
from softspoken.prompts.info import FORMAT_VERSION
from softspoken.prompts.integrity import AGAIN, INTEGRITY_FILE, sealed
from softspoken.prompts.signatures import SIGNATURE_FILE

if TYPE_CHECKING:
    from huggingface_hub import HfApi


Metadata = TypeVar("Metadata", bound=BaseModel)

CONFIG_FILE = "prompt_config.json"
TENSOR_FILE = "prompts.safetensors"
CARD_FILE = "README.md"
PROMPT_FILES = (CONFIG_FILE, TENSOR_FILE, CARD_FILE, INTEGRITY_FILE, SIGNATURE_FILE)

RECOGNIZER_FILE = "recognizer.json"
HEAD_FILE = "head.safetensors"
PROMPT_FOLDER = "prompt"
RECOGNIZER_FILES = (RECOGNIZER_FILE, HEAD_FILE, CARD_FILE, PROMPT_FOLDER, INTEGRITY_FILE, SIGNATURE_FILE)
"""A recogniser: a head and its own prompt folder, where it has prompts."""


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (name, possibly in a subfolder, to content) as `folder`: beside it first, then moved to its place.

    Their `integrity.json` is written with them. Raises PromptError when it cannot be written, or when `folder` exists
    and holds something else than the same kind.
    """
    _refuse_other_content(folder, RECOGNIZER_FILES if RECOGNIZER_FILE in files else PROMPT_FILES)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder, over_folder=True) as staging:
            staging.mkdir()
            for name, content in sealed(files).items():
                (staging / name).parent.mkdir(exist_ok=True)
                with open(staging / name, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
    except OSError as error:
        raise PromptError(
            f"cannot write prompts to '{folder}': {error.strerror or error}; nothing was changed; "
            "give a folder that can be written"
        ) from error


def _refuse_other_content(folder: Path, known: tuple[str, ...]) -> None:
    """`known`: names of the kind of folder that is to be written; the first one is in each such folder."""
    kind = "recogniser" if known is RECOGNIZER_FILES else "prompt"
    if not folder.exists():
        return
    if not folder.is_dir():
        raise PromptError(f"'{folder}' is a file; give a folder")
    others = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if others:
        raise PromptError(f"folder '{folder}' holds other things ('{others[0]}'); give a new folder or a {kind} folder")
    if any(folder.iterdir()) and not (folder / known[0]).is_file():
        raise PromptError(f"folder '{folder}' is not a {kind} folder (no {known[0]}); give a new folder")


def read_metadata(path: Path, written: bytes, kind: type[Metadata], what: str) -> Metadata:
    """The metadata `written` in a stored folder's JSON file, of this format's version; `what` names it in messages.

    Raises PromptError for a newer format, PromptDamaged for anything else that is not such a file.
    """
    try:
        content = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise PromptDamaged(f"'{path}' cannot be read as JSON; {AGAIN}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise PromptError(
            f"'{path.parent}' has {what} format {version}, this version reads up to {FORMAT_VERSION}; update softspoken"
        )
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise PromptDamaged(f"'{path}' says format_version {version!r}; expected {FORMAT_VERSION}; {AGAIN}")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise PromptDamaged(f"'{path}': {first_problem(error)}; {AGAIN}") from error


def first_problem(error: ValidationError | PydanticSerializationError) -> str:
    if not isinstance(error, ValidationError):
        return str(error).splitlines()[0]
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    said = "this version knows no such field" if first["type"] == "extra_forbidden" else str(first["msg"])
    return f"{place}: {said}" if place else said


_INSTEAD = "give a local folder"


def download_prompts(repository: str) -> Path:
    """A local copy of the prompts in hub repository `repository` ('owner/name'); from the cache where it is there.

    Raises PromptError when there is no such repository, or when it cannot be reached.
    """
    from huggingface_hub import snapshot_download

    with hub_errors("download", repository, PromptError, _INSTEAD):
        return Path(snapshot_download(repository, allow_patterns=list(PROMPT_FILES)))


def upload_prompts(folder: Path, repository: str, private: bool = False, api: "HfApi | None" = None) -> str:
    """Put the prompt folder into hub repository `repository`, made if need be. Returns its address.

    The folder is not checked here. Raises PromptError when the hub refuses.
    """
    from huggingface_hub import HfApi

    hub = HfApi() if api is None else api
    with hub_errors("upload", repository, PromptError, _INSTEAD):
        made = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(
            folder_path=folder,
            repo_id=made.repo_id,
            allow_patterns=list(PROMPT_FILES),
            commit_message="Upload soft prompts",
        )
        return str(made)
