"""Prompts on disk: a folder of `prompt_config.json`, `prompts.safetensors` and a model card `README.md`.

Nothing is unpickled, and nothing is used before it is verified: damaged prompts ruin recognition, while no prompt at
all costs next to nothing ("Soft prompts as zero-shot learners", tables 1 and 3), so what fails a check is refused.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as tensors_to_bytes

from softspoken.defaults import DEFAULT_BACKBONE, DEFAULT_EMBEDDER, EMBEDDER_FINGERPRINTS
from softspoken.errors import ConfigError, PromptDamaged, PromptError, PromptMismatch
from softspoken.prompts.arrays import STATISTICS, Tensors
from softspoken.prompts.card import render_card
from softspoken.prompts.config import PromptConfig
from softspoken.prompts.folder import (
    CARD_FILE,
    CONFIG_FILE,
    PROMPT_FOLDER,
    RECOGNIZER_FILE,
    TENSOR_FILE,
    download_prompts,
    first_problem,
    read_metadata,
    write_folder,
)
from softspoken.prompts.info import BackboneRef, FrozenModel, PromptInfo
from softspoken.prompts.integrity import AGAIN, verified

if TYPE_CHECKING:
    from softspoken.prompts.modules import SoftPrompts

__all__ = [
    "BackboneRef",
    "LoadedPrompts",
    "PromptInfo",
    "find_prompts",
    "load_prompts",
    "save_prompts",
]

StoredType = Literal["float32", "float16"]

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "prompts"
"""Prompts that come with the package, one folder a backbone."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class LoadedPrompts:
    """Verified prompts and what is known about them."""

    tensors: Mapping[str, np.ndarray]
    """As they are stored: float32 or float16."""
    info: PromptInfo

    @classmethod
    def of(cls, prompts: "SoftPrompts", info: PromptInfo) -> "LoadedPrompts":
        """Prompts that are there already, as `info` describes them."""
        return cls(prompts.arrays(), info)

    @cached_property
    def prompts(self) -> "SoftPrompts":
        """As a module of PyTorch: float32, evaluation mode, on the CPU."""
        from softspoken.prompts.modules import prompts_from

        return prompts_from(self.info.prompts, self.info.backbone.width, self.info.backbone.layers, self.tensors)

    def check(self, backbone: FrozenModel) -> None:
        """Raises PromptMismatch unless `backbone` has the very weights that the prompts were trained on."""
        wanted = self.info.backbone
        if backbone.fingerprint != wanted.fingerprint:
            raise PromptMismatch(
                f"the prompt was trained on backbone '{wanted.name}' (fingerprint {wanted.fingerprint[:12]}), got "
                f"'{backbone.name}' (fingerprint {backbone.fingerprint[:12]}); load backbone '{wanted.name}'"
            )


_NOT_FACTS = ("format_version", "prompts", "backbone", "digest", "embedder_fingerprint")


def save_prompts(
    prompts: "SoftPrompts",
    folder: str | Path,
    *,
    backbone: FrozenModel | BackboneRef,
    keep_reparameterisation: bool = False,
    dtype: StoredType = "float32",
    **facts: Any,
) -> PromptInfo:
    """Store prompts as a folder, all of it or nothing.

    Written beside `folder` and then moved to its place. An existing folder is replaced only if it holds nothing but
    stored prompts.

    Args:
        prompts: folded first, unless `keep_reparameterisation` (to go on training them).
        backbone: what they were trained on.
        dtype: type of the stored prompt vectors.
        facts: other fields of `PromptInfo`: task, embedder, window, timestamps, silence, training, results,
            licence, trained_parameters (by default counted from `prompts`).

    Raises:
        PromptError: the folder cannot be written or holds something else, or the numbers are not finite.
        PromptMismatch: `prompts` and `backbone` differ in width or layers.
        ConfigError: a fact that does not exist or is not possible.
    """
    info, files = prompt_files(
        prompts, backbone=backbone, keep_reparameterisation=keep_reparameterisation, dtype=dtype, **facts
    )
    write_folder(Path(folder).expanduser().resolve(), files)
    return info


def prompt_files(
    prompts: "SoftPrompts",
    *,
    backbone: FrozenModel | BackboneRef,
    keep_reparameterisation: bool = False,
    dtype: StoredType = "float32",
    **facts: Any,
) -> tuple[PromptInfo, dict[str, bytes]]:
    """What `save_prompts` writes, by file name, and what is known about it. Arguments and errors as there."""
    reference = backbone if isinstance(backbone, BackboneRef) else BackboneRef.of(backbone)
    if (prompts.width, prompts.layers) != (reference.width, reference.layers):
        raise PromptMismatch(
            f"prompts of width {prompts.width} for layers {prompts.layers}, backbone '{reference.name}' has width "
            f"{reference.width} and layers {reference.layers}; give the backbone they were trained on"
        )
    stored = prompts if keep_reparameterisation else prompts.fold()
    content = _bytes_of(_stored_tensors(stored, dtype))
    facts = {"trained_parameters": prompts.parameter_count} | facts
    info = _info(stored.config, content, reference, facts)
    try:
        config = info.model_dump_json(indent=2).encode() + b"\n"
    except PydanticSerializationError as error:
        raise ConfigError(f"facts about the prompts: {first_problem(error)}") from error
    return info, {CONFIG_FILE: config, TENSOR_FILE: content, CARD_FILE: render_card(info).encode()}


def info_of(config: PromptConfig, tensors: Tensors, backbone: FrozenModel, **facts: Any) -> PromptInfo:
    """What is known about prompts that nobody stored. Facts and errors are those of `save_prompts`."""
    return _info(config, _bytes_of(tensors), BackboneRef.of(backbone), facts)


def _info(config: PromptConfig, content: bytes, reference: BackboneRef, facts: dict[str, Any]) -> PromptInfo:
    if not config.follows_voice:
        facts = {"embedder": None} | facts
    fixed = {"prompts": config, "backbone": reference, "digest": hashlib.sha256(content).hexdigest()}
    if facts.keys() & set(_NOT_FACTS):
        raise ConfigError(f"{sorted(facts.keys() & set(_NOT_FACTS))} follow from the prompts; leave them out")
    fixed["embedder_fingerprint"] = EMBEDDER_FINGERPRINTS.get(str(facts.get("embedder", DEFAULT_EMBEDDER)))
    try:
        return PromptInfo.model_validate(facts | fixed)
    except ValidationError as error:
        raise ConfigError(f"facts about the prompts: {first_problem(error)}") from error


def _bytes_of(tensors: Tensors) -> bytes:
    content: bytes = tensors_to_bytes(dict(tensors), metadata={"format": "pt"})
    return content


def shipped_prompts() -> list[str]:
    """Names of the prompts that come with the package."""
    return sorted(path.parent.relative_to(SHIPPED).as_posix() for path in SHIPPED.rglob(CONFIG_FILE))


def find_prompts(reference: str | Path) -> Path:
    """The local folder behind a reference; nothing in it is checked yet.

    `reference`: 'shipped' (the one for tiny.en) or the name of a shipped one ('tiny.en', 'base'), else a local folder
    (of a recogniser: its prompts), else a hub repository 'owner/name'. Raises PromptError when there is none.
    """
    name = str(reference)
    shipped = shipped_prompts()
    wanted = DEFAULT_BACKBONE if name == "shipped" else name
    if wanted in shipped:
        return SHIPPED / wanted
    folder = Path(reference).expanduser()
    if folder.is_dir():
        inner = folder / PROMPT_FOLDER
        return inner if (folder / RECOGNIZER_FILE).is_file() and inner.is_dir() else folder
    if folder.exists():
        raise PromptError(f"'{name}' is a file; expected a prompt folder with {CONFIG_FILE} and {TENSOR_FILE}")
    if isinstance(reference, str) and _REPOSITORY.fullmatch(name):
        return download_prompts(name)
    known = ", ".join(f"'{entry}'" for entry in shipped) if shipped else "none"
    raise PromptError(f"no prompt '{name}'; give a folder, a hub repository 'owner/name', or a shipped one ({known})")


def load_prompts(reference: str | Path, backbone: FrozenModel | None = None) -> LoadedPrompts:
    """Load and verify stored prompts; with `backbone`, also that they belong to it.

    `reference`: see `find_prompts`.

    Raises:
        PromptError: there is no such prompt, or it has a newer format.
        PromptDamaged: a file is missing, unreadable, altered, or holds something other than finite numbers.
        PromptMismatch: the tensors are not those that the configuration says, or the backbone is another one.
    """
    folder = find_prompts(reference)
    # The very bytes that were checked are parsed: a file may change in between.
    contents = _contents(folder)
    info = read_metadata(folder / CONFIG_FILE, contents[CONFIG_FILE], PromptInfo, "prompt")
    _check_embedder(folder, info)
    tensors = _read_tensors(folder / TENSOR_FILE, contents[TENSOR_FILE], info)
    loaded = LoadedPrompts(_checked(tensors, info, folder), info)
    if backbone is not None:
        loaded.check(backbone)
    return loaded


def _stored_tensors(prompts: "SoftPrompts", dtype: StoredType) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    for name, tensor in prompts.arrays().items():
        kind = "float32" if name in STATISTICS else dtype
        with np.errstate(over="ignore"):
            tensors[name] = np.ascontiguousarray(tensor.astype(kind))
        if not np.isfinite(tensors[name]).all():
            todo = "save it as float32" if np.isfinite(tensor).all() else "training diverged; use an earlier checkpoint"
            raise PromptError(f"prompt tensor '{name}' is not finite as {dtype}; {todo}")
    return tensors


def _contents(folder: Path) -> Mapping[str, bytes]:
    if not (folder / CONFIG_FILE).is_file():
        of_run = folder / PROMPT_FOLDER
        if (of_run / CONFIG_FILE).is_file():
            raise PromptError(f"'{folder}' is a run; give '{of_run}', its prompt")
        raise PromptDamaged(f"'{folder}' has no {CONFIG_FILE}: not a prompt folder, or damaged; {AGAIN}")
    return verified(folder, needed=(CONFIG_FILE, TENSOR_FILE)).contents


def _check_embedder(folder: Path, info: PromptInfo) -> None:
    known = EMBEDDER_FINGERPRINTS.get(info.embedder or "")
    if info.embedder_fingerprint not in (None, known):
        raise PromptMismatch(
            f"'{folder}' follows voices of '{info.embedder}' with fingerprint {str(info.embedder_fingerprint)[:12]}, "
            f"this version has {str(known)[:12]}; update softspoken, or get a prompt for it"
        )


def _read_tensors(path: Path, content: bytes, info: PromptInfo) -> Tensors:
    digest = hashlib.sha256(content).hexdigest()
    if digest != info.digest:
        raise PromptDamaged(f"'{path}' has digest {digest[:12]}, its config says {info.digest[:12]}; refused; {AGAIN}")
    try:
        found: Tensors = tensors_from_bytes(content)
        return found
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise PromptDamaged(f"'{path}' is not a safetensors file; {AGAIN}") from error


def _checked(tensors: Tensors, info: PromptInfo, folder: Path) -> Tensors:
    """The tensors themselves, which are those that the configuration says."""
    try:
        expected = info.shapes
    except KeyError as error:
        raise PromptMismatch(f"'{folder}' has prompts for a {error} that its backbone has not; {AGAIN}") from error
    for name in sorted(expected.keys() ^ tensors.keys()):
        what = "is missing" if name in expected else "does not belong to this configuration"
        raise PromptMismatch(f"'{folder}': tensor '{name}' {what}; {AGAIN}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name]:
            raise PromptMismatch(
                f"'{folder}': tensor '{name}' has shape {tensor.shape}, its config says {expected[name]}; {AGAIN}"
            )
        if tensor.dtype.kind != "f":
            raise PromptDamaged(
                f"'{folder}': tensor '{name}' has type {tensor.dtype}; expected floating point; {AGAIN}"
            )
        if not np.isfinite(tensor).all():
            raise PromptDamaged(f"'{folder}': tensor '{name}' holds NaN or infinity; refused; {AGAIN}")
    return tensors
