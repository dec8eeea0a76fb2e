"""`softspoken-lab noise`: train a recogniser for speech in noise, use it, and measure it."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softspoken.cli.checks import require_recipe
from softspoken.cli.train import Half, Recipe, Run, RunFolder, State, StopAfter, show_result
from softspoken_lab.cli.noise_table import print_table

if TYPE_CHECKING:
    from softspoken_lab.noise.characters import Characters
    from softspoken_lab.noise.evaluation import Report
    from softspoken_lab.noise.recognizer import NoiseRobustRecognizer
    from softspoken_lab.noise.search import BeamSearch
    from softspoken_lab.noise.testsets import TestUtterance

app = typer.Typer(name="noise", no_args_is_help=True, help="Recognisers for speech in noise.")


class Prompts(StrEnum):
    """What `--prompts` takes."""

    OWN = "own"
    NONE = "none"


class By(StrEnum):
    """What `--by` takes."""

    SET = "set"
    TYPE = "type"
    SNR = "snr"


class Together(StrEnum):
    """What `--together` takes."""

    RECORDING = "recording"
    TALKER = "talker"


class Split(StrEnum):
    """What `--split` takes."""

    TEST = "test"
    DEVELOPMENT = "development"
    TRAIN = "train"


Lm = Annotated[
    Path | None,
    typer.Option("--lm", metavar="FILE", help="n-gram model (ARPA or KenLM) for the beam search."),
]
Beam = Annotated[
    int | None,
    typer.Option(min=1, help="Texts kept in the beam search (default: greedy; with --lm, a beam of 50)."),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")]


@app.command("train")
def train(
    recipe: Recipe,
    out: RunFolder = Path("runs/noise"),
    stop_after_s: StopAfter = None,
) -> None:
    """Train a recogniser. Kill it at any time; run the same command to continue."""
    require_recipe(recipe)
    from softspoken.training.recipes import recipe_text
    from softspoken_lab.noise.training import read_noise_recipe, run_noise_training

    show_result(run_noise_training(read_noise_recipe(recipe), out, stop_after_s, recipe_text(recipe)), out)


@app.command("export")
def export(
    run: Run,
    out: Annotated[Path, typer.Option(help="New folder of the recogniser.", show_default=False)],
    state: State = "best",
    half: Half = False,
) -> None:
    """Make a recogniser's folder out of a state of a training run."""
    from softspoken_lab.noise.training import export_noise_run

    export_noise_run(run, out, state, half)
    typer.echo(out)


@app.command("transcribe")
def transcribe(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings, of any length.")],
    recognizer: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of a trained recogniser.")],
    lm: Lm = None,
    beam: Beam = None,
    prompts: Annotated[
        Prompts, typer.Option(help="'own': those of the recogniser; 'none': the frozen encoder without prompts.")
    ] = Prompts.OWN,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a recording, with times.")] = False,
) -> None:
    """Write what is said in recordings, one line each."""
    from softspoken_lab.noise.recognizer import NoiseRobustRecognizer

    loaded = NoiseRobustRecognizer.load(recognizer, device=device)
    search = _search(loaded.characters, lm, beam)
    for file in files:
        (transcript,) = loaded.recognize([file], prompts=prompts.value, search=search)
        if not as_json:
            if len(files) > 1:
                typer.echo(f"{file}:", err=True)
            sys.stdout.write(transcript.text + "\n")
            sys.stdout.flush()
            continue
        segments = [{"start_s": one.start_s, "end_s": one.end_s, "text": one.text} for one in transcript.segments]
        row = {"file": str(file), "text": transcript.text, "duration_s": transcript.duration_s, "segments": segments}
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
        sys.stdout.flush()


@app.command("evaluate")
def evaluate(
    recognizers: Annotated[
        list[str],
        typer.Argument(
            metavar="RECOGNIZER...",
            help="Folders that training wrote; 'FOLDER:none' runs without its prompts. The others are compared with "
            "the first.",
        ),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH",
            help="A speech manifest or a noisy test set's folder; 'NAME=PATH#CORPUS' takes one corpus of a manifest. "
            "Repeat it.",
        ),
    ],
    by: Annotated[By, typer.Option(help="Rows by whole set, kind of noise, or level.")] = By.SET,
    together: Annotated[
        Together, typer.Option(help="What is resampled as one: all made of one clean recording, or all of one talker.")
    ] = Together.RECORDING,
    split: Annotated[Split, typer.Option(help="Split to take from speech manifests.")] = Split.TEST,
    transcripts: Annotated[
        Path | None, typer.Option(help="LibriSpeech folder with the words of the published noisy set.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many utterances of each set, evenly taken.")] = None,
    lm: Lm = None,
    beam: Beam = None,
    out: Annotated[Path | None, typer.Option(help="Also write what was recognised, as JSON lines.")] = None,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Word error rates with 95 % intervals, and paired differences to the first recogniser."""
    from rich.console import Console

    from softspoken_lab.noise.characters import normalise_transcript
    from softspoken_lab.noise.evaluation import table, write_results, write_sets

    talk = Console(stderr=True)
    sets = _sets(data, split.value, transcripts, limit)
    # All are loaded before the first one runs: a damaged one shows at once.
    systems = _systems(recognizers, device, lm, beam)
    with talk.status("recognising") as status:

        def report(system: str, done: int, total: int) -> None:
            status.update(f"{system}: {done} of {total} utterances")

        shown: Report | None = report if talk.is_terminal else None
        written = write_sets(systems, sets, normalise_transcript, shown)
    if out is not None:
        write_results(written, out)
        talk.print(f"Transcripts: {out}", soft_wrap=True, highlight=False)
    rows = table(written, by.value, together.value)
    if as_json:
        found = {"against": next(iter(systems)), "by": by.value, "rows": [row.as_dict() for row in rows]}
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    resampled = "of one talker" if together is Together.TALKER else "that was made of one clean recording"
    print_table(Console(), rows, next(iter(systems)), resampled)


def _search(characters: "Characters", lm: Path | None, beam: int | None) -> "BeamSearch | None":
    if lm is None and beam is None:
        return None
    from softspoken_lab.noise.search import BeamOptions, BeamSearch

    options = BeamOptions(language_model=lm)
    return BeamSearch(characters, options if beam is None else options.model_copy(update={"width": beam}))


def _sets(
    data: Sequence[str], split: Any, transcripts: Path | None, limit: int | None
) -> "dict[str, list[TestUtterance]]":
    from softspoken.errors import ConfigError
    from softspoken_lab.noise.testsets import TestUtterance, parse_data, read_items

    found: dict[str, list[TestUtterance]] = {}
    for name, path, corpora in parse_data(data):
        if name in found:
            raise ConfigError(f"two sets are called '{name}'; give each a name of its own")
        items = read_items(name, path, split=split, corpora=corpora, transcripts=transcripts, limit=limit)
        utterances = [item for item in items if isinstance(item, TestUtterance)]
        if len(utterances) < len(items):
            raise ConfigError(f"set '{name}' asks for single voices; use 'softspoken evaluate' for it")
        found[name] = utterances
    return found


def _systems(recognizers: Sequence[str], device: str, lm: Path | None, beam: int | None) -> dict[str, Any]:
    """By short name, files to texts. A backbone that several were trained on is loaded once."""
    from softspoken.backbones import Backbone
    from softspoken.errors import ConfigError
    from softspoken_lab.noise.encoders import load_encoder
    from softspoken_lab.noise.folder import load_recognizer
    from softspoken_lab.noise.recognizer import NoiseRobustRecognizer

    if len(set(recognizers)) < len(recognizers):
        raise ConfigError("a recogniser is there twice; give each once (and 'FOLDER:none' for it without prompts)")
    backbones: dict[str, Backbone] = {}
    systems = {}
    for name, given in zip(short_names(recognizers), recognizers, strict=True):
        folder, prompts = split_name(given)
        stored = load_recognizer(folder)
        wanted = stored.info.backbone
        if wanted.fingerprint not in backbones:
            backbones[wanted.fingerprint] = load_encoder(wanted.name, device)
        loaded = NoiseRobustRecognizer(stored, backbones[wanted.fingerprint])
        systems[name] = _transcriber(loaded, prompts, _search(loaded.characters, lm, beam))
    return systems


def _transcriber(loaded: "NoiseRobustRecognizer", prompts: Prompts, search: "BeamSearch | None") -> Any:
    return lambda files: loaded.transcribe(files, prompts=prompts.value, search=search)


def split_name(given: str) -> tuple[str, Prompts]:
    """'FOLDER' or 'FOLDER:none' taken apart."""
    folder, colon, prompts = given.rpartition(":")
    return (folder, Prompts(prompts)) if colon and prompts in set(Prompts) else (given, Prompts.OWN)


def short_names(recognizers: Sequence[str]) -> list[str]:
    """Folders by the parts in which they differ: 'runs/m20/recognizer' beside 'runs/frozen/recognizer' is 'm20'."""
    taken = [split_name(given) for given in recognizers]
    parts = [Path(folder).parts for folder, _ in taken]
    different = len(set(parts)) > 1
    while different and all(len(own) > 1 for own in parts) and len({own[0] for own in parts}) == 1:
        parts = [own[1:] for own in parts]
    while different and all(len(own) > 1 for own in parts) and len({own[-1] for own in parts}) == 1:
        parts = [own[:-1] for own in parts]
    if not different:
        # One run's recogniser: the run's name says more.
        parts = [own[:-1] if own[-1] == "recognizer" and len(own) > 1 else own for own in parts]
        parts = [own[-1:] for own in parts]
    names = ["/".join(own) for own in parts]
    return [
        name + (":none" if prompts is Prompts.NONE else "") for name, (_, prompts) in zip(names, taken, strict=True)
    ]
