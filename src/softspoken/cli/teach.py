"""`softspoken data teach`: let the frozen backbone itself write what each piece of training speech says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from softspoken.backbones import WhisperBackbone
    from softspoken.data.corpus import Corpus, Piece

_BATCH = 8
_SAVE_EVERY = 64


def teach(
    recipe: Annotated[
        Path, typer.Argument(help="The training recipe; its data and backbone count.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="JSON lines to write; lines already there are kept.")] = Path("texts.jsonl"),
    worst_wer: Annotated[
        float, typer.Option(help="Leave out pieces whose text differs more than this from a known transcript.")
    ] = 0.25,
    window_s: Annotated[float, typer.Option(help="Window the backbone hears a piece in; Whisper wants 30.")] = 30.0,
) -> None:
    """Self-distillation's texts: punctuation, case and numbers as the backbone writes them on clean speech."""
    from rich.progress import track

    from softspoken.backbones import load_backbone
    from softspoken.data.corpus import Corpus, load_corpus
    from softspoken.data.examples import read_texts, write_texts
    from softspoken.training.config import read_recipe

    config = read_recipe(recipe)
    config = config.model_copy(update={"data": config.data.model_copy(update={"texts": None, "speeds": (1.0,)})})
    texts = read_texts(out, rejected=True) if out.is_file() else {}
    backbone = load_backbone(config.backbone)
    pieces = [*load_corpus(config.data).pieces, *load_corpus(config.data, development=True).pieces]
    corpus = Corpus(pieces)
    left = [piece for piece in corpus.pieces if piece.id not in texts]
    for first in track(range(0, len(left), _BATCH), description="teaching", disable=not left):
        batch = left[first : first + _BATCH]
        for piece, text in zip(batch, _transcribe(backbone, corpus, batch, window_s), strict=True):
            texts[piece.id] = text if _close(piece.text, text, worst_wer) else ""
        if first % _SAVE_EVERY == 0:
            write_texts(out, texts)
    write_texts(out, texts)
    kept = sum(bool(text) for text in texts.values())
    typer.echo(f"{kept} of {len(texts)} pieces have a text", err=True)
    typer.echo(out)


def _transcribe(backbone: "WhisperBackbone", corpus: "Corpus", pieces: "list[Piece]", window_s: float) -> list[str]:
    from softspoken.decoding import DecodingOptions, decode_batch

    audio = [corpus.audio(piece) for piece in pieces]
    encoded = backbone.encode(backbone.features(audio, window_s))
    options = DecodingOptions(timestamps=False)
    found = decode_batch(backbone, encoded, options, window_s=[window_s] * len(pieces))
    return [window.text.strip() for window in found]


def _close(transcript: str, text: str, worst_wer: float) -> bool:
    from softspoken.evaluation.scores import score_utterance, summarize
    from softspoken.evaluation.text import TextNormalizer

    if not transcript.strip():
        return bool(text)
    wer = summarize([score_utterance(transcript, text, TextNormalizer())], resamples=1).wer
    return wer is not None and wer <= worst_wer
