"""A recogniser for speech in noise on disk: `recognizer.json`, `head.safetensors`, a card, and `prompt/`.

`prompt/` is an ordinary prompt folder and is absent for a frozen baseline. `recognizer.json` holds the digests of both,
so that a head never runs with prompts other than its own: swapped prompts ruin recognition (the paper's table 1).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes

from softspoken.backbones.base import Backbone
from softspoken.errors import ConfigError, PromptDamaged, PromptError, PromptMismatch
from softspoken.frozen import Frozen
from softspoken.prompts.checkpoint import StoredType, load_prompts, prompt_files
from softspoken.prompts.folder import (
    CARD_FILE,
    HEAD_FILE,
    PROMPT_FOLDER,
    RECOGNIZER_FILE,
    first_problem,
    read_metadata,
    write_folder,
)
from softspoken.prompts.info import FORMAT_VERSION, BackboneRef, Digest, PromptInfo
from softspoken.prompts.integrity import AGAIN, sealed, verified
from softspoken.prompts.modules import SoftPrompts
from softspoken_lab.noise.characters import Characters
from softspoken_lab.noise.head import CTCHead, HeadConfig
from softspoken_lab.noise.model import PromptedCTC


class RecognizerInfo(Frozen):
    """Everything about a stored recogniser that is not a tensor."""

    format_version: int = FORMAT_VERSION
    backbone: BackboneRef
    head: HeadConfig
    characters: tuple[str, ...]
    """Symbols of the dictionary, the blank first."""
    head_digest: Digest
    """SHA-256 of `head.safetensors`."""
    prompts_digest: Digest | None = None
    """SHA-256 of the prompts that the head was trained with, or of those put in their place; None: frozen baseline."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Facts for the card: data, steps, hours, seed."""
    licence: str = "apache-2.0"


@dataclass(frozen=True)
class LoadedRecognizer:
    """A verified recogniser (float32, evaluation mode, on the CPU) and what is known about it."""

    model: PromptedCTC
    characters: Characters
    info: RecognizerInfo
    prompts: PromptInfo | None

    def check(self, backbone: Backbone) -> None:
        """Raises PromptMismatch unless `backbone` has the very weights that this was trained on."""
        wanted = self.info.backbone
        if backbone.fingerprint != wanted.fingerprint:
            raise PromptMismatch(
                f"the recogniser was trained on backbone '{wanted.name}' (fingerprint {wanted.fingerprint[:12]}), got "
                f"'{backbone.name}' (fingerprint {backbone.fingerprint[:12]}); load backbone '{wanted.name}'"
            )

    def with_prompts(self, prompts: SoftPrompts, history: dict[str, Any]) -> "LoadedRecognizer":
        """The same head with changed prompts; `history` says how they were changed."""
        if self.prompts is None:
            raise PromptMismatch("a frozen baseline has no prompts to change; give a recogniser with prompts")
        entry = {"from_digest": self.prompts.digest, **history}
        changed = self.prompts.model_copy(update={"history": [*self.prompts.history, entry]})
        return LoadedRecognizer(PromptedCTC(prompts, self.model.head), self.characters, self.info, changed)

    def save(self, folder: str | Path) -> RecognizerInfo:
        """Store it in `folder`, with all its facts; see `save_recognizer`."""
        known = (
            self.prompts.model_dump(include={"training", "results", "licence", "history", "trained_parameters"})
            if (self.prompts is not None)
            else {}
        )
        return save_recognizer(
            self.model,
            folder,
            backbone=self.info.backbone,
            characters=self.characters,
            training=self.info.training,
            prompt_facts=known,
        )


def save_recognizer(
    model: PromptedCTC,
    folder: str | Path,
    *,
    backbone: Backbone | BackboneRef,
    characters: Characters,
    training: dict[str, Any],
    prompt_facts: dict[str, Any] | None = None,
    dtype: StoredType = "float32",
) -> RecognizerInfo:
    """Store head and prompts as one folder, all of it or nothing.

    `prompt_facts`: further fields of the prompts' `PromptInfo`. Raises PromptError when the folder cannot be written or
    the numbers are not finite, ConfigError for facts that are not possible.
    """
    reference = backbone if isinstance(backbone, BackboneRef) else BackboneRef.of(backbone)
    tensors = {
        name: tensor.detach().to("cpu", getattr(torch, dtype)).contiguous()
        for name, tensor in model.head.state_dict().items()
    }
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise PromptError(f"head tensor '{name}' is not finite as {dtype}; use an earlier checkpoint, or float32")
    head = tensors_to_bytes(tensors, metadata={"format": "pt"})
    files = {HEAD_FILE: head}
    digest = None
    if model.prompts is not None:
        facts = {
            "task": "noise",
            "timestamps": False,
            "training": training,
            **(prompt_facts if prompt_facts is not None else {}),
        }
        about, inner = prompt_files(model.prompts, backbone=reference, dtype=dtype, **facts)
        digest = about.digest
        files |= {f"{PROMPT_FOLDER}/{name}": content for name, content in sealed(inner).items()}
    try:
        info = RecognizerInfo(
            backbone=reference,
            head=model.head.config,
            characters=characters.symbols,
            head_digest=hashlib.sha256(head).hexdigest(),
            prompts_digest=digest,
            training=training,
        )
        config = info.model_dump_json(indent=2).encode() + b"\n"
    except ValidationError as error:
        raise ConfigError(f"facts about the recogniser: {first_problem(error)}") from error
    files |= {RECOGNIZER_FILE: config, CARD_FILE: _card(info).encode()}
    write_folder(Path(folder).expanduser().resolve(), files)
    return info


def load_recognizer(folder: str | Path, backbone: Backbone | None = None) -> LoadedRecognizer:
    """Load and verify a stored recogniser; with `backbone`, also that it belongs to it.

    Raises PromptError when there is none, PromptDamaged when a file is missing, altered or unreadable, PromptMismatch
    when prompts, head or backbone do not belong together.
    """
    folder = Path(folder).expanduser()
    if not (folder / RECOGNIZER_FILE).is_file():
        raise PromptError(
            f"no recogniser in '{folder}' ({RECOGNIZER_FILE} is missing); give a folder that training wrote"
        )
    contents = verified(folder, needed=(RECOGNIZER_FILE, HEAD_FILE)).contents
    info = read_metadata(folder / RECOGNIZER_FILE, contents[RECOGNIZER_FILE], RecognizerInfo, "recogniser")
    try:
        characters = Characters(info.characters)
    except ConfigError as error:
        raise PromptDamaged(f"'{folder / RECOGNIZER_FILE}': {error}; {AGAIN}") from error
    head = _read_head(folder, contents[HEAD_FILE], info)
    prompts, about = None, None
    if info.prompts_digest is not None:
        if not (folder / PROMPT_FOLDER).is_dir():
            raise PromptDamaged(f"'{folder}' has no folder '{PROMPT_FOLDER}' with its prompts; {AGAIN}")
        loaded = load_prompts(folder / PROMPT_FOLDER)
        prompts, about = loaded.prompts, loaded.info
        if about.digest != info.prompts_digest or about.backbone.fingerprint != info.backbone.fingerprint:
            raise PromptMismatch(
                f"'{folder}': its prompts have digest {about.digest[:12]}, its head belongs to "
                f"{info.prompts_digest[:12]}; refused; {AGAIN}"
            )
    elif (folder / PROMPT_FOLDER).exists():
        raise PromptMismatch(f"'{folder}' is a frozen baseline but holds prompts; refused; {AGAIN}")
    recognizer = LoadedRecognizer(PromptedCTC(prompts, head).eval(), characters, info, about)
    if backbone is not None:
        recognizer.check(backbone)
    return recognizer


def _read_head(folder: Path, content: bytes, info: RecognizerInfo) -> CTCHead:
    path = folder / HEAD_FILE
    digest = hashlib.sha256(content).hexdigest()
    if digest != info.head_digest:
        raise PromptDamaged(
            f"'{path}' has digest {digest[:12]}, {RECOGNIZER_FILE} says {info.head_digest[:12]}; refused; {AGAIN}"
        )
    try:
        tensors = tensors_from_bytes(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise PromptDamaged(f"'{path}' is not a safetensors file; {AGAIN}") from error
    other = f"'{path}' has other tensors than {RECOGNIZER_FILE} says; {AGAIN}"
    if info.head.layers > len(tensors):
        raise PromptMismatch(other)
    try:
        # Without numbers at first: a description may ask for any size.
        with torch.device("meta"):
            head = CTCHead(info.head, info.backbone.width, 1 + info.backbone.layers["encoder"], len(info.characters))
    except (RuntimeError, KeyError) as error:
        raise PromptDamaged(f"'{folder / RECOGNIZER_FILE}' asks for impossible sizes; {AGAIN}") from error
    expected = {name: tensor.shape for name, tensor in head.state_dict().items()}
    if {name: tensor.shape for name, tensor in tensors.items()} != expected:
        raise PromptMismatch(other)
    if not all(tensor.is_floating_point() and bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise PromptDamaged(f"'{path}' holds NaN, infinity or something else than numbers; refused; {AGAIN}")
    head.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return head


def _card(info: RecognizerInfo) -> str:
    prompts = "none: a frozen baseline" if info.prompts_digest is None else "see `prompt/README.md`"
    facts = "\n".join(f"- {key}: {json.dumps(value, default=str)}" for key, value in info.training.items())
    return f"""# A recogniser for speech in noise, on the frozen encoder of '{info.backbone.name}'

A CTC head over {len(info.characters)} symbols, trained together with soft prompts. It belongs to exactly this backbone
(fingerprint `{info.backbone.fingerprint}`) and these prompts, and is refused with any other.

- Head: {info.head.layers} bidirectional LSTMs of {info.head.hidden}, projection {info.head.projection}
- Prompts: {prompts}

## Training

{facts}

## Use

    softspoken-lab noise transcribe recording.wav --recognizer FOLDER

## Licence

{info.licence}. The backbone is not part of this folder and has its own licence.
"""
