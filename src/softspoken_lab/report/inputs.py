"""What a report's user names, loaded and checked: recognisers, prompts that follow a voice, noise, test sets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from softspoken.backbones import load_backbone
from softspoken.backbones.base import Backbone
from softspoken.backbones.weights import StackName
from softspoken.errors import ConfigError
from softspoken.prompts.card import by_run
from softspoken.prompts.checkpoint import find_prompts, load_prompts
from softspoken.speakers import DEFAULT_EMBEDDER, load_embedder
from softspoken_lab.analysis.load import is_recognizer, read_test_set
from softspoken_lab.analysis.subject import TestSet
from softspoken_lab.noise.encoders import load_encoder
from softspoken_lab.noise.folder import LoadedRecognizer, load_recognizer
from softspoken_lab.noise.testsets import Split, parse_data
from softspoken_lab.report.remembered import RememberingCTC, RememberingTarget
from softspoken_lab.report.stages import digest_of_folder

_LONGEST = 300
"""Characters of a fact that are shown."""
_SPELLED = {"wer": "WER", "snr": "SNR", "db": "(dB)", "hz": "(Hz)", "s": "(s)"}


_Subject = TypeVar("_Subject", RememberingCTC, RememberingTarget, covariant=True)


@dataclass(frozen=True)
class LoadedSubject(Generic[_Subject]):
    """What is analysed, the digest of its folder, and what is known about it, for a reader."""

    subject: _Subject
    digest: str
    facts: tuple[tuple[str, str], ...]


def load_subject(
    reference: str, device: str = "cpu", stack: StackName = "encoder"
) -> LoadedSubject[RememberingCTC] | LoadedSubject[RememberingTarget]:
    """A recogniser's folder, or prompts that follow a voice ('shipped', a folder, a hub id), with the backbone.

    `stack`: of the latter, whose vectors are taken apart. Raises PromptError and BackboneError for what is missing or
    damaged, ConfigError for prompts without their head.
    """
    if is_recognizer(reference):
        return _load_recognizer(reference, device)
    prompts = load_prompts(reference)
    info = prompts.info
    if info.task != "target-speaker":
        raise ConfigError(f"'{reference}' is the prompt of a recogniser without its head; give the recogniser's folder")
    whisper = load_backbone(info.backbone.name, device)
    embedder = load_embedder(DEFAULT_EMBEDDER if info.embedder is None else info.embedder, device)
    subject = RememberingTarget(prompts, whisper, embedder, stack, name=_name(reference))
    return LoadedSubject(subject, digest_of_folder(find_prompts(reference)), _facts(info.training))


def load_baseline(reference: str, beside: LoadedSubject[Any], device: str = "cpu") -> LoadedSubject[RememberingCTC]:
    """A recogniser that was trained without prompts. Raises PromptError and ConfigError for anything else."""
    if not is_recognizer(reference):
        raise ConfigError(
            f"no recogniser in '{reference}'; --frozen takes a folder that training without prompts wrote"
        )
    return _load_recognizer(reference, device, beside.subject.backbone)


def _load_recognizer(reference: str, device: str, backbone: Backbone | None = None) -> LoadedSubject[RememberingCTC]:
    """`backbone`: one that is loaded; used if it is the one that is wanted."""
    folder = Path(reference).expanduser()
    loaded = load_recognizer(folder)
    wanted = loaded.info.backbone
    if backbone is None or backbone.fingerprint != wanted.fingerprint:
        backbone = load_encoder(wanted.name, device)
    subject = RememberingCTC(loaded, backbone, name=_name(reference))
    return LoadedSubject(subject, digest_of_folder(folder), _recognizer_facts(loaded))


def read_sets(
    entries: Sequence[str],
    split: Split = "test",
    transcripts: Path | None = None,
    limit: int | None = None,
) -> tuple[list[TestSet], dict[str, str]]:
    """Sets from 'NAME=PATH' or 'NAME=PATH#CORPUS', and where each was read from. Raises ConfigError and DataError."""
    sets, sources = [], {}
    for name, path, corpora in parse_data(entries):
        if name in sources:
            raise ConfigError(f"two sets are called '{name}'; give each a name of its own")
        sets.append(read_test_set(name, path, split=split, corpora=corpora, transcripts=transcripts, limit=limit))
        sources[name] = f"{path} ({', '.join(corpora)})" if corpora else str(path)
    return sets, sources


def _name(reference: str) -> str:
    # 'm20/best' says more than 'best'.
    folder = Path(reference).expanduser()
    parts = folder.resolve().parts[-2:] if folder.is_dir() else (reference,)
    return "/".join(part for part in parts if part != "/")


def _recognizer_facts(loaded: LoadedRecognizer) -> tuple[tuple[str, str], ...]:
    head = loaded.info.head
    facts = [("Head", f"{head.layers} bidirectional LSTMs of {head.hidden}, projection {head.projection}")]
    if loaded.prompts is not None:
        facts.append(("Numbers in the prompts", str(loaded.prompts.deployed_parameters)))
    return (*facts, *_facts(loaded.info.training))


def _facts(training: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What training noted, in words. The number of prompts is said elsewhere."""
    shown = ((_words(key), _shown(value)) for key, value in by_run(training).items() if key != "prompts")
    return tuple((name[:1].upper() + name[1:], value) for name, value in shown if value)


def _words(key: str) -> str:
    return " ".join(_SPELLED.get(part, part) for part in str(key).split("_"))


def _shown(value: Any) -> str:
    """Empty for what is empty."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list | tuple):
        text = ", ".join(_shown(one) for one in value)
    elif isinstance(value, dict):
        parts = ((_words(key), _shown(one)) for key, one in value.items())
        text = "; ".join(f"{name} {one}" for name, one in parts if one)
    elif isinstance(value, float):
        text = f"{value:.4g}"
    else:
        text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
