"""A stored prompt with another silence model; its tensors stay as they are."""

from pathlib import Path

from softspoken.prompts.card import render_card
from softspoken.prompts.checkpoint import find_prompts, load_prompts
from softspoken.prompts.folder import CARD_FILE, CONFIG_FILE, TENSOR_FILE, write_folder
from softspoken.prompts.silence import SilenceModel


def store_silence(reference: str | Path, model: SilenceModel | None, out: str | Path) -> None:
    """Store a prompt again as the folder `out` (which may be its own) with this model, or without any.

    All of it is written or nothing. `reference`: see `find_prompts`. Raises PromptError as `load_prompts` and
    `write_folder` do: only a whole prompt is stored again.
    """
    folder = find_prompts(reference)
    info = load_prompts(folder).info.model_copy(update={"silence": model})
    files = {
        CONFIG_FILE: info.model_dump_json(indent=2).encode() + b"\n",
        TENSOR_FILE: (folder / TENSOR_FILE).read_bytes(),
        CARD_FILE: render_card(info).encode(),
    }
    write_folder(Path(out).expanduser().resolve(), files)
