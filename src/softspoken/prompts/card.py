"""The model card: the README.md of a prompt folder, made from what is known about the prompts."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from softspoken.prompts.info import PromptInfo

_HUB_ID = re.compile(r"[\w-]+/[\w.-]+")
_WHISPER_SIZE = re.compile(r"(tiny|base|small|medium)(\.en)?|large(-v[123])?")

_TARGET_SPEAKER_USE = """\
from softspoken import TargetSpeakerTranscriber

transcriber = TargetSpeakerTranscriber.from_pretrained("FOLDER OR REPOSITORY")
transcript = transcriber.transcribe("meeting.flac", speaker="five_seconds_of_the_talker.flac")
print(transcript.text)"""

_TRANSCRIPTION_USE = """\
from softspoken.decoding import PromptedTranscriber

transcriber = PromptedTranscriber.from_pretrained("FOLDER OR REPOSITORY")
print(transcriber.transcribe("meeting.flac").text)"""

_NOISE_USE = """\
from softspoken.backbones import load_backbone
from softspoken.prompts import inject
from softspoken.prompts.checkpoint import load_prompts

backbone = load_backbone({backbone})
loaded = load_prompts("FOLDER OR REPOSITORY", backbone)
with inject(backbone, loaded.prompts):
    encoded = backbone.encode(backbone.features([audio]))"""


def render_card(info: PromptInfo) -> str:
    """The card as Markdown, with the metadata block that model hubs read."""
    sections = [
        _metadata(info),
        f"# Soft prompts for '{info.backbone.name}': {_task(info)}",
        _introduction(info),
        "## What it is\n\n" + _pairs(_facts(info)),
        "## Training\n\n" + (_pairs(_training(info)) or "Not recorded."),
        "## Measured\n\n" + (_table(info.results) or "Nothing measured yet."),
        "## Use\n\n```python\n" + _use(info) + "\n```",
        f"## Licence\n\n{info.licence}. The backbone is not part of this folder and has its own licence.",
    ]
    return "\n\n".join(sections) + "\n"


def _metadata(info: PromptInfo) -> str:
    lines = [f"license: {json.dumps(info.licence)}", "library_name: softspoken"]
    name = info.backbone.name
    base = name if _HUB_ID.fullmatch(name) else None
    if _WHISPER_SIZE.fullmatch(name):
        base = f"openai/whisper-{name}"
    if base is not None:
        lines.append(f"base_model: {json.dumps(base)}")
    lines += ["pipeline_tag: automatic-speech-recognition", "tags: [soft-prompts, speech-recognition]"]
    return "\n".join(["---", *lines, "---"])


def _task(info: PromptInfo) -> str:
    names = {
        "target-speaker": "one voice out of a mixture",
        "transcription": "short windows",
        "noise": "speech in noise",
    }
    return names[info.task]


def _introduction(info: PromptInfo) -> str:
    what = {
        "target-speaker": "It makes the frozen model write only the words of one enrolled talker, out of recordings in "
        "which others speak",
        "transcription": "With it the frozen model hears windows as long as the audio, which without it need padding "
        "to 30 s, and writes everybody's words",
        "noise": "It makes the frozen model stand noise",
    }[info.task]
    return (
        f"A small prompt for a frozen speech model. {what}. No weight of the model is changed. "
        "It belongs to exactly this backbone and is refused by any other."
    )


def _facts(info: PromptInfo) -> dict[str, str]:
    share = info.share_percent
    trained = info.trained_parameters
    facts = {
        "Backbone": f"{info.backbone.name}, fingerprint `{info.backbone.fingerprint}`",
        "Parameters trained": f"{trained:,}" if trained is not None else "not recorded",
        "Parameters deployed": f"{info.deployed_parameters:,}"
        + (f" ({share:.2f} % of the backbone)" if share is not None else ""),
    }
    for name, stack in (("Encoder", info.prompts.encoder), ("Decoder", info.prompts.decoder)):
        facts[f"{name} prompts"] = f"{stack.length} vectors, {stack.depth}" if stack is not None else "none"
    facts["Placement"] = info.prompts.placement
    if info.prompts.speaker is not None:
        speaker = info.prompts.speaker
        facts["Voice"] = f"{info.embedder}, {speaker.dimension} dimensions, into {speaker.into}"
    if info.prompts.frames is not None:
        keyed = info.prompts.frames.keyed
        facts["Frame prompts"] = f"by activity, {keyed} keyed vectors a layer" if keyed else "by activity"
    if info.prompts.enrolment is not None:
        heard = info.prompts.enrolment
        how = "whole" if heard.form == "frames" else f"pooled into {heard.queries} vectors"
        facts["Enrolment clip"] = f"{heard.clip_s:g} s of it are heard, {how}; the vector alone will not do"
    facts["Windows"] = "padded to 30 s" if info.window == "30s" else "as long as the audio"
    return facts


def _training(info: PromptInfo) -> dict[str, str]:
    return {name: in_words(value) for name, value in by_run(info.training).items()}


def _use(info: PromptInfo) -> str:
    if info.task == "target-speaker":
        return _TARGET_SPEAKER_USE
    if info.task == "transcription":
        return _TRANSCRIPTION_USE
    return _NOISE_USE.format(backbone=json.dumps(info.backbone.name))


def _pairs(facts: dict[str, str]) -> str:
    return "\n".join(f"- {key}: {value}" for key, value in facts.items())


def _table(rows: list[dict[str, str | int | float | None]]) -> str:
    """A Markdown table; its columns are the keys in the order in which they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return ""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: str | int | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")


_OF_ONE_RUN = ("mixtures", "steps", "hours", "seed")
MEAN_OF = "mean of"
"""A list of what was noted of each, where prompts are the mean of several."""
HOW_LONG = (*_OF_ONE_RUN, "before", MEAN_OF)
"""What training notes of a run and, nested in 'before', of those that it went on from."""
_OF_ALL = ("mixtures", "hours")


@dataclass
class _Run:
    own: Any
    after: tuple[int, ...]
    """Numbers of the runs that it went on from: several for their mean, none for the first."""
    more: dict[str, Any] = field(default_factory=dict)
    """What a mean's training notes of this one alone."""


def by_run(training: Mapping[str, Any]) -> dict[str, Any]:
    """`training` with 'run 1', 'run 2' ... and 'all runs' in place of nested runs; unchanged where none is nested.

    A run goes on from the one before unless 'after' says otherwise. One that several went on from counts once. 'all
    runs' is left out where one of them did not note its mixtures and hours.
    """
    if "before" not in training and not _branches(training):
        return dict(training)
    runs: list[_Run] = []
    last = _number(training, runs)
    said: dict[str, Any] = {name: value for name, value in training.items() if name not in HOW_LONG}
    if _branches(training):
        said[MEAN_OF] = _names(last)
    for number, run in enumerate(runs, start=1):
        said[f"run {number}"] = _said(run, number)
    if all(isinstance(run.own, Mapping) and all(name in run.own for name in _OF_ALL) for run in runs):
        said["all runs"] = {name: round(sum(run.own[name] for run in runs), 2) for name in _OF_ALL}
    return said


def _number(noted: Any, runs: list[_Run]) -> tuple[int, ...]:
    """Numbers of the runs that `noted` is the end of; those which are not among `runs` yet are added in their order."""
    branches = _branches(noted)
    if branches:
        return tuple(number for branch in branches for number in _branch(branch, runs))
    after: tuple[int, ...] = ()
    own = noted
    if isinstance(noted, Mapping):
        after = _number(noted["before"], runs) if "before" in noted else ()
        own = {name: noted[name] for name in _OF_ONE_RUN if name in noted}
    for number, known in enumerate(runs, start=1):
        if (known.own, known.after) == (own, after):
            return (number,)
    runs.append(_Run(own, after))
    return (len(runs),)


def _branch(branch: Any, runs: list[_Run]) -> tuple[int, ...]:
    numbers = _number(branch, runs)
    if isinstance(branch, Mapping) and not _branches(branch):
        more = {name: value for name, value in branch.items() if name not in HOW_LONG}
        runs[numbers[0] - 1].more.update(more)
    return numbers


def _said(run: _Run, number: int) -> Any:
    before = (number - 1,) if number > 1 else ()
    if run.after == before and not run.more:
        return run.own
    own = run.own if isinstance(run.own, Mapping) else {"of": run.own}
    after = {} if run.after == before else {"after": _names(run.after)}
    return after | dict(own) | run.more


def _names(numbers: tuple[int, ...]) -> list[str] | str:
    return [f"run {number}" for number in numbers] or "none of these"


def _branches(noted: Any) -> list[Any]:
    branches = noted.get(MEAN_OF) if isinstance(noted, Mapping) else None
    return branches if isinstance(branches, list) else []


def in_words(value: Any) -> str:
    """A noted value without braces and quotes: 'mixtures 3200, hours 0.97'."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(in_words(one) for one in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
