"""`softspoken data`: texts that targets are trained on, recordings packed for another machine, and shards."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from softspoken.cli.checks import require_recipe

if TYPE_CHECKING:
    from softspoken.data.corpus import Corpus, Piece
    from softspoken.decoding import PromptedTranscriber
    from softspoken.engines import Precision

app = typer.Typer(name="data", help="Training data: texts, packing, shards.", no_args_is_help=True)

_BATCH = 8
_SAVE_EVERY = 64


@app.command("pack")
def pack(
    manifest: Annotated[Path, typer.Argument(help="manifest.jsonl of speech or noise.")],
    out: Annotated[Path, typer.Argument(help="Folder for the packed recordings and their manifest.jsonl.")],
    split: Annotated[str, typer.Option(help="Only this split.")] = "train",
) -> None:
    """Pack recordings as Opus, a fifth of FLAC's size, to train on another machine. If interrupted, run it again."""
    from softspoken.data.manifest import pack_manifest

    typer.echo(pack_manifest(manifest, out, split))


@app.command("shard")
def shard(
    recipe: Annotated[
        str,
        typer.Argument(metavar="FILE.toml[:ROW]", help="The training recipe; its data counts.", show_default=False),
    ],
    out: Annotated[
        str, typer.Argument(help="Folder or URL, such as s3://bucket/speech, for 'data.shards'.", show_default=False)
    ],
    size: Annotated[int, typer.Option(min=1, help="Pieces of speech in a shard.")] = 512,
    together: Annotated[int, typer.Option(min=2, help="Most pieces of one talker that lie together.")] = 8,
    form: Annotated[
        Literal["flac", "opus"],
        typer.Option("--format", help="flac loses nothing and is read four times as fast, opus is a sixth as large."),
    ] = "flac",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the shuffling.")] = 0,
) -> None:
    """Write a recipe's training talkers as shards (lhotse Shar), for speech that no single machine holds. If
    interrupted, run it again."""
    require_recipe(recipe)
    from softspoken.data.corpus import load_corpus
    from softspoken.data.manifest import read_texts
    from softspoken.data.shards import write_shards
    from softspoken.training.recipes import read_data

    config = read_data(recipe)
    corpus = load_corpus(config.data.model_copy(update={"speeds": (1.0,)}))
    texts = {piece.id: piece.text for piece in corpus.pieces}
    if config.data.texts is not None:
        texts = read_texts(config.data.texts)
    written = write_shards(corpus, texts, out, size, together, seed, form)
    typer.echo(f"{len(corpus.pieces)} pieces of {len(corpus.speakers)} talkers in {len(written)} shards", err=True)
    typer.echo(out)


@app.command("teach")
def teach(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="FILE.toml[:ROW]", help="The training recipe; its data and backbone count.", show_default=False
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="JSON lines to write. Texts already there are kept; pieces left out before are tried again, so that "
            "another backbone can do better."
        ),
    ] = Path("texts.jsonl"),
    worst_wer: Annotated[
        float, typer.Option(help="Leave out pieces whose text differs more than this from a known transcript.")
    ] = 0.25,
) -> None:
    """Write the texts that targets are trained on: what the backbone itself hears in clean speech."""
    require_recipe(recipe)
    from rich.progress import track

    from softspoken.cpu import multiplies_bfloat16
    from softspoken.data.corpus import Corpus, load_corpus
    from softspoken.data.manifest import read_texts, write_texts
    from softspoken.decoding import PromptedTranscriber
    from softspoken.training.recipes import read_data

    config = read_data(recipe)
    config = config.model_copy(update={"data": config.data.model_copy(update={"texts": None, "speeds": (1.0,)})})
    texts = read_texts(out, rejected=True) if out.is_file() else {}
    precision: Precision = "bfloat16" if multiplies_bfloat16() else "float32"
    transcriber = PromptedTranscriber.from_pretrained("short", config.backbone, engine="auto", precision=precision)
    corpus = Corpus([*load_corpus(config.data).pieces, *load_corpus(config.data, development=True).pieces])
    # Of about the same length, so that little of a batch is padding; the parts of an utterance are judged together.
    left = sorted((piece for piece in corpus.pieces if not texts.get(piece.id)), key=lambda piece: piece.duration_s)
    heard: dict[str, str] = {}
    for first in track(range(0, len(left), _BATCH), description="teaching", disable=not left):
        batch = left[first : first + _BATCH]
        heard |= zip((piece.id for piece in batch), _transcribe(transcriber, corpus, batch), strict=True)
        if first % (_SAVE_EVERY * _BATCH) == 0:
            write_texts(out, texts | judged(left, heard, worst_wer))
    texts |= judged(left, heard, worst_wer)
    write_texts(out, texts)
    kept = sum(bool(text) for text in texts.values())
    typer.echo(f"{kept} of {len(texts)} pieces have a text", err=True)
    typer.echo(out)


def judged(pieces: "Iterable[Piece]", heard: Mapping[str, str], worst_wer: float) -> dict[str, str]:
    """What is heard in each piece; an empty text where it is too far from what is known to be said.

    Parts of an utterance whose words are known only as a whole are judged together, once all of them are heard.
    """
    groups: dict[str, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(piece.path if piece.utterance_text else piece.id, []).append(piece)
    texts: dict[str, str] = {}
    for group in groups.values():
        parts = sorted(group, key=lambda piece: piece.start_s)
        if not all(piece.id in heard for piece in parts):
            continue
        said = parts[0].utterance_text or parts[0].text
        good = _close(said, " ".join(heard[piece.id] for piece in parts), worst_wer)
        texts |= {piece.id: heard[piece.id] if good else "" for piece in parts}
    return texts


def _transcribe(transcriber: "PromptedTranscriber", corpus: "Corpus", pieces: "list[Piece]") -> list[str]:
    from softspoken.decoding import DecodingOptions

    options = DecodingOptions(timestamps=False)
    return transcriber.texts([corpus.audio(piece) for piece in pieces], options)


def _close(transcript: str, text: str, worst_wer: float) -> bool:
    from softspoken.scoring.text import TextNormalizer
    from softspoken.scoring.word_errors import score_utterance, summarize

    if not transcript.strip():
        return bool(text)
    wer = summarize([score_utterance(transcript, text, TextNormalizer())], resamples=1).wer
    return wer is not None and wer <= worst_wer
