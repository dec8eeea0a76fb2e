"""Options that the commands of `softspoken-lab analyse` share, and what they stand for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from softspoken.errors import ConfigError

if TYPE_CHECKING:
    from softspoken_lab.analysis.ctc_subject import CTCSubject
    from softspoken_lab.analysis.results import Counts, RoleSplit, RolesResult
    from softspoken_lab.analysis.subject import Report, Subject, TestSet

Stack = Literal["encoder", "decoder"]
Split = Literal["test", "development", "train"]
RolesBy = Literal["curve", "clusters"]
Scale = Literal["paper", "unit"]
Representation = Literal["output", "input"]

Recognizer = Annotated[
    str,
    typer.Argument(
        metavar="RECOGNIZER",
        help="Folder that noise training wrote; for random, leave-one-out, clusters and removed also a prompt that "
        "follows a voice (a folder, 'shipped').",
    ),
]
Data = Annotated[
    list[str],
    typer.Option(
        "--data",
        metavar="NAME=PATH",
        help="A speech manifest, a noisy test set's folder, or (for a prompt that follows a voice) an evaluation "
        "manifest. 'NAME=PATH#CORPUS' takes one corpus of a manifest. Repeat it.",
    ),
]
DataSplit = Annotated[Split, typer.Option("--split", help="Split to take from speech manifests.")]
Limit = Annotated[int | None, typer.Option(min=1, help="So many utterances of each set, evenly taken.")]
Transcripts = Annotated[Path | None, typer.Option(help="LibriSpeech folder with the words of the published noisy set.")]
Frozen = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Also show this recogniser, trained without prompts.")
]
StackOption = Annotated[
    Stack, typer.Option(help="Stack whose vectors are analysed, for a prompt that follows a voice.")
]
Clean = Annotated[str, typer.Option(help="Name of the clean set, which the roles are read off.")]
Roles = Annotated[RolesBy, typer.Option("--roles", help="The split into content and noise prompts to use.")]
Content = Annotated[
    str | None,
    typer.Option(metavar="1,2,5-9", help="Numbers of the content set, the others being noise; else both are found."),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything that is drawn at random.")]
Backbone = Annotated[str | None, typer.Option(help="Frozen encoder (default: the one it was trained on).")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write the numbers as a table.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def subject_of(reference: str, stack: Stack, backbone: str | None, device: str) -> "Subject":
    """Whatever can be analysed, by its name."""
    from softspoken_lab.analysis.load import load_subject

    return load_subject(reference, stack=stack, backbone=backbone, device=device)


def ctc_of(reference: str, backbone: str | None, device: str) -> "CTCSubject":
    """A recogniser for noise."""
    from softspoken_lab.analysis.load import load_ctc_subject

    return load_ctc_subject(reference, backbone=backbone, device=device)


def sets_of(data: list[str], split: Split, limit: int | None, transcripts: Path | None) -> "list[TestSet]":
    """The test sets of all `--data`."""
    from softspoken_lab.analysis.load import read_test_set
    from softspoken_lab.noise.testsets import parse_data

    return [
        read_test_set(name, path, split=split, corpora=corpora, transcripts=transcripts, limit=limit)
        for name, path, corpora in parse_data(data)
    ]


def named(sets: "list[TestSet]", name: str) -> "TestSet":
    """The set of that name. Raises ConfigError if there is none."""
    found = next((test_set for test_set in sets if test_set.name == name), None)
    if found is None:
        raise ConfigError(
            f"no set '{name}' among {', '.join(one.name for one in sets)}; name the clean one with --clean"
        )
    return found


def baseline_of(
    folder: Path | None, sets: "list[TestSet]", backbone: str | None, device: str
) -> "dict[str, Counts] | None":
    """Word errors of `--frozen`'s recogniser, where it is given."""
    if folder is None:
        return None
    from softspoken_lab.analysis.subject import score_frozen

    baseline = ctc_of(str(folder), backbone, device)
    with progress("frozen baseline") as report:
        return score_frozen(baseline, sets, report)


def roles_of(subject: "CTCSubject", sets: "list[TestSet]", clean: str, seed: int) -> "RolesResult":
    """Content and noise set, read off the clean set and the clusters."""
    from softspoken_lab.analysis.clusters import LEAST_PROMPTS, ClusterOptions, find_clusters
    from softspoken_lab.analysis.removal import leave_each_out
    from softspoken_lab.analysis.roles import find_roles

    chosen = named(sets, clean)
    with progress("leaving out") as report:
        curve = leave_each_out(subject, [chosen], report)
    groups = find_clusters(subject, ClusterOptions(seed=seed)) if subject.info.prompts >= LEAST_PROMPTS else None
    return find_roles(curve, groups, clean, seed)


def split_of(
    subject: "CTCSubject", sets: "list[TestSet]", clean: str, roles: RolesBy, content: str | None, seed: int
) -> "RoleSplit":
    """The split that `--content` or `--roles` asks for."""
    from softspoken_lab.analysis.roles import given_split

    if content is not None:
        return given_split(content, subject.vectors.shape[1])
    return roles_of(subject, sets, clean, seed).chosen(roles)


@contextmanager
def progress(what: str) -> "Iterator[Report | None]":
    """A bar on a terminal's stderr, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    talk = Console(stderr=True)
    if not talk.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=talk, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
