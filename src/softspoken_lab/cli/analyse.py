"""`softspoken-lab analyse`: prompts taken apart, one command for each table and figure of the noise paper."""

from pathlib import Path
from typing import Annotated

import typer

from softspoken_lab.cli.analyse_options import (
    Backbone,
    Clean,
    Content,
    Csv,
    Data,
    DataSplit,
    Device,
    Frozen,
    Json,
    Limit,
    Recognizer,
    Representation,
    Roles,
    Scale,
    Seed,
    StackOption,
    Transcripts,
    baseline_of,
    ctc_of,
    named,
    progress,
    roles_of,
    sets_of,
    split_of,
    subject_of,
)
from softspoken_lab.cli.analyse_tables import show

app = typer.Typer(name="analyse", no_args_is_help=True, help="Find out what each soft prompt does.")


@app.command("random")
def random(
    recognizer: Recognizer,
    data: Data,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of noise.")] = 5,
    seed: Seed = 0,
    frozen: Frozen = None,
    split: DataSplit = "test",
    limit: Limit = None,
    transcripts: Transcripts = None,
    stack: StackOption = "encoder",
    backbone: Backbone = None,
    device: Device = "cpu",
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """Table 1: random vectors in the prompts' place."""
    from softspoken_lab.analysis.replacement import ReplacementOptions, replace_randomly

    subject = subject_of(recognizer, stack, backbone, device)
    sets = sets_of(data, split, limit, transcripts)
    baseline = baseline_of(frozen, sets, backbone, device)
    with progress("random prompts") as report:
        result = replace_randomly(
            subject, sets, ReplacementOptions(seeds=seeds, seed=seed), frozen=baseline, report=report
        )
    show(result, csv, as_json)


@app.command("leave-one-out")
def leave_one_out(
    recognizer: Recognizer,
    data: Data,
    split: DataSplit = "test",
    limit: Limit = None,
    transcripts: Transcripts = None,
    stack: StackOption = "encoder",
    backbone: Backbone = None,
    device: Device = "cpu",
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """Figure 3: what is lost with each prompt left out."""
    from softspoken_lab.analysis.removal import leave_each_out

    subject = subject_of(recognizer, stack, backbone, device)
    sets = sets_of(data, split, limit, transcripts)
    with progress("leaving out") as report:
        result = leave_each_out(subject, sets, report)
    show(result, csv, as_json)


@app.command("clusters")
def clusters(
    recognizer: Recognizer,
    k_max: Annotated[int, typer.Option(min=2, help="Largest number of clusters to try.")] = 6,
    seed: Seed = 0,
    stack: StackOption = "encoder",
    backbone: Backbone = None,
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """Figure 2: K-means and t-SNE of the prompt vectors."""
    from softspoken_lab.analysis.clusters import ClusterOptions, find_clusters

    subject = subject_of(recognizer, stack, backbone, "cpu")
    show(find_clusters(subject, ClusterOptions(k_max=k_max, seed=seed)), csv, as_json)


@app.command("roles")
def roles(
    recognizer: Recognizer,
    data: Data,
    clean: Clean = "clean",
    seed: Seed = 0,
    split: DataSplit = "test",
    limit: Limit = None,
    backbone: Backbone = None,
    device: Device = "cpu",
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """Section 3.2: content set and noise set, by the leave-one-out curve and by the clusters."""
    subject = ctc_of(recognizer, backbone, device)
    sets = sets_of(data, split, limit, None)
    show(roles_of(subject, sets, clean, seed), csv, as_json)


@app.command("subsets")
def subsets(
    recognizer: Recognizer,
    data: Data,
    clean: Clean = "clean",
    roles: Roles = "curve",
    content: Content = None,
    seed: Seed = 0,
    split: DataSplit = "test",
    limit: Limit = None,
    transcripts: Transcripts = None,
    backbone: Backbone = None,
    device: Device = "cpu",
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """Table 2: the content set alone, the noise set alone."""
    from softspoken_lab.analysis.removal import keep_subsets

    subject = ctc_of(recognizer, backbone, device)
    sets = sets_of(data, split, limit, transcripts)
    chosen = split_of(subject, sets, clean, roles, content, seed)
    with progress("subsets") as report:
        result = keep_subsets(subject, sets, chosen, report)
    show(result, csv, as_json)


@app.command("removed")
def removed(
    recognizer: Recognizer,
    data: Data,
    frozen: Frozen = None,
    split: DataSplit = "test",
    limit: Limit = None,
    transcripts: Transcripts = None,
    stack: StackOption = "encoder",
    backbone: Backbone = None,
    device: Device = "cpu",
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """Table 3: all prompts removed while recognising."""
    from softspoken_lab.analysis.removal import remove_all

    subject = subject_of(recognizer, stack, backbone, device)
    sets = sets_of(data, split, limit, transcripts)
    baseline = baseline_of(frozen, sets, backbone, device)
    with progress("without prompts") as report:
        result = remove_all(subject, sets, frozen=baseline, report=report)
    show(result, csv, as_json)


@app.command("probe")
def probe(
    recognizer: Recognizer,
    data: Data,
    noise: Annotated[list[Path], typer.Option(metavar="MANIFEST|FOLDER", help="Noise recordings by kind. Repeat it.")],
    noise_split: Annotated[str | None, typer.Option(help="Only noise of this split (default: all).")] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Kinds of noise (default: the seven of the paper, where there are any).")
    ] = None,
    clean: Clean = "clean",
    roles: Roles = "curve",
    content: Content = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts; kinds with fewer recordings are left out.")] = 3,
    per_cell: Annotated[int, typer.Option(min=1, help="Utterances of each part, with every kind of noise.")] = 20,
    seed: Seed = 0,
    split: DataSplit = "test",
    limit: Limit = None,
    backbone: Backbone = None,
    device: Device = "cpu",
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """Figures 1 and 4: how well a random forest tells the kind of noise from the states."""
    from softspoken_lab.analysis.probe import probe_noise
    from softspoken_lab.analysis.probe_data import ProbeOptions, paper_kinds
    from softspoken_lab.noise.bank import read_noise
    from softspoken_lab.noise.testsets import TestUtterance

    subject = ctc_of(recognizer, backbone, device)
    sets = sets_of(data, split, limit, None)
    bank = read_noise(noise, noise_split)
    bank = bank.of(categories=category) if category else paper_kinds(bank)
    speech = [item for item in named(sets, clean).items if isinstance(item, TestUtterance)]
    chosen = split_of(subject, sets, clean, roles, content, seed)
    with progress("probe") as report:
        options = ProbeOptions(folds=folds, per_cell=per_cell, seed=seed)
        result = probe_noise(subject, speech, bank, chosen, options, report=report)
    show(result, csv, as_json)


@app.command("shift")
def shift(
    recognizer: Recognizer,
    noise: Annotated[
        list[Path],
        typer.Option(metavar="FOLDER|MANIFEST", help="Recordings of the new environment. Repeat it."),
    ],
    data: Annotated[
        list[str],
        typer.Option(metavar="NAME=PATH", help="Clean speech for the roles, and the sets to compare on. Repeat it."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Store the recogniser with the shifted prompts here.")
    ] = None,
    noise_split: Annotated[str | None, typer.Option(help="Only noise of this split (default: all).")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Only these kinds of noise.")] = None,
    representation: Annotated[
        Representation | None,
        typer.Option(
            help="v from the encoder's last layer, or from what enters the prompts' layer "
            "(default: output; for deep prompts: input)."
        ),
    ] = None,
    scale: Annotated[Scale, typer.Option(help="'paper': the product as it is; 'unit': v brought to size 1.")] = (
        "paper"
    ),
    clean: Clean = "clean",
    roles: Roles = "curve",
    content: Content = None,
    frozen: Frozen = None,
    seed: Seed = 0,
    split: DataSplit = "test",
    limit: Limit = None,
    backbone: Backbone = None,
    device: Device = "cpu",
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """Table 4: prompts for a new environment, from recordings of its noise and without training."""
    from softspoken_lab.analysis.shift import ShiftOptions, compare_shifts, shift_prompts
    from softspoken_lab.noise.bank import read_noise

    subject = ctc_of(recognizer, backbone, device)
    sets = sets_of(data, split, limit, None)
    bank = read_noise(noise, noise_split).of(categories=category if category is not None else ())
    chosen = split_of(subject, sets, clean, roles, content, seed)
    options = ShiftOptions(representation=representation, scale=scale)
    baseline = baseline_of(frozen, sets, backbone, device)
    with progress("listening to the noise") as report:
        shifted = shift_prompts(subject, bank, chosen, options, report=report)
    if out is not None:
        shifted.recognizer.save(out)
        typer.echo(f"Shifted prompts: {out}", err=True)
    with progress("comparing") as report:
        result = compare_shifts(subject, sets, [shifted], chosen, frozen=baseline, report=report)
    show(result, csv, as_json)
