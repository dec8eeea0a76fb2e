"""Prompt folders from and to a model hub. Only their three files travel, in either direction."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from softspoken.errors import PromptError
from softspoken.prompts.folder import PROMPT_FILES

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def download_prompts(repository: str) -> Path:
    """A local copy of the prompts in hub repository `repository` ('owner/name'); from the cache where it is there.

    Raises PromptError when there is no such repository, or when it cannot be reached.
    """
    from huggingface_hub import snapshot_download

    with _one_line(repository, "download"):
        return Path(snapshot_download(repository, allow_patterns=list(PROMPT_FILES)))


def upload_prompts(folder: Path, repository: str, private: bool = False, api: "HfApi | None" = None) -> str:
    """Put the prompt folder into hub repository `repository`, made if need be. Returns its address.

    The folder is not checked here; see `LoadedPrompts.push_to_hub`. Raises PromptError when the hub refuses.
    """
    from huggingface_hub import HfApi

    hub = HfApi() if api is None else api
    with _one_line(repository, "upload"):
        made = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(
            folder_path=folder,
            repo_id=made.repo_id,
            allow_patterns=list(PROMPT_FILES),
            commit_message="Upload soft prompts",
        )
        return str(made)


@contextmanager
def _one_line(repository: str, doing: str) -> Iterator[None]:
    """Turn whatever the hub's client raises into one line that says what to do."""
    from huggingface_hub import errors as hub

    local = "or give a local folder"
    try:
        yield
        return
    except hub.HFValidationError:
        problem = f"it is not a hub id; give 'owner/name', {local}"
    except hub.LocalTokenNotFoundError:
        problem = "not logged in; log in with 'hf auth login'"
    except (hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled):
        problem = f"it is not in the hub's cache and the hub cannot be reached; connect, {local}"
    except (hub.GatedRepoError, hub.RepositoryNotFoundError):
        problem = (
            "it does not exist on the hub, or you have no right to it; "
            f"check its name, log in with 'hf auth login', {local}"
        )
    except Exception as error:  # networks, proxies and disks fail in many ways
        reason = re.sub(r"\s+", " ", str(error))[:160] or type(error).__name__
        problem = f"{reason}; try again, {local}"
    raise PromptError(f"cannot {doing} '{repository}': {problem}")
