"""`softspoken data mixtures`: test mixtures of talkers, in a room and in noise if asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from softspoken.data.noise import NoiseBank

Noise = Annotated[
    Path | None,
    typer.Option(metavar="MANIFEST", help="Noise to add: a manifest.jsonl, or a folder of recordings."),
]
NoiseLevel = Annotated[
    str | None, typer.Option(help="Level of the first talker against the noise, or a range: '0,15'.")
]
Reverberation = Annotated[
    str | None, typer.Option(help="Put the talkers into rooms of this reverberation time, or a range: '0.2,0.6'.")
]
Whose = Annotated[
    Literal["train", "development", "test"] | None,
    typer.Option(help="Whose speech (default: test); choose nothing by results on 'test'."),
]


def mixtures(
    speech_manifest: Annotated[
        Path, typer.Argument(help="manifest.jsonl of a folder of speech (id, path, split, corpus, speaker, text, ...).")
    ],
    out: Annotated[Path, typer.Argument(help="New folder for the mixtures and their manifest.jsonl.")],
    count: Annotated[int | None, typer.Option(help="Mixtures; each talker is a target once.")] = None,
    talkers: Annotated[int | None, typer.Option(help="Talkers a mixture.")] = None,
    snr_db: Annotated[
        str | None, typer.Option(help="Level of the first talker against the others (default 0), or a range: '-5,5'.")
    ] = None,
    overlap: Annotated[
        str | None,
        typer.Option(
            help="Share of the shorter speech that is covered: '0.5,1'. Every further talker covers the first."
        ),
    ] = None,
    overlap_of: Annotated[
        Literal["frames", "stretches"] | None,
        typer.Option(
            help="The share is one of speech frames (default; pauses put 0 and 1 out of reach), or of stretches from "
            "the first to the last word, which is exact from 0 to 1."
        ),
    ] = None,
    targets: Annotated[
        Literal["all", "first"] | None,
        typer.Option(help="Who is a target: every talker (default), or the first alone, at exactly the asked level."),
    ] = None,
    noise: Noise = None,
    noise_snr_db: NoiseLevel = None,
    rt60_s: Reverberation = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same bytes.")] = None,
    split: Whose = None,
) -> None:
    """Mix talkers for a test: recordings, enrolments from other speech, clean targets, silent targets, manifest."""
    from dataclasses import replace

    from softspoken.evaluation.mixtures import MixtureSpec, build_mixtures

    given: dict[str, Any] = {"count": count, "talkers": talkers, "seed": seed, "split": split}
    given |= {"overlap_of": overlap_of, "targets": targets}
    given |= {"snr_db": range_of("--snr-db", snr_db), "overlap": range_of("--overlap", overlap)}
    given |= surroundings_of(noise_snr_db, rt60_s)
    spec = replace(MixtureSpec(), **{name: value for name, value in given.items() if value is not None})
    written = build_mixtures(speech_manifest, out, spec, noise_of(noise, spec.split))
    typer.echo(f"{spec.count} mixtures from split '{spec.split}', seed {spec.seed}", err=True)
    typer.echo(written)


def surroundings_of(noise_snr_db: str | None, rt60_s: str | None) -> dict[str, tuple[float, float] | None]:
    """The options of noise and room, as `MixtureSpec` takes them."""
    return {
        "noise_snr_db": range_of("--noise-snr-db", noise_snr_db),
        "rt60_s": range_of("--rt60-s", rt60_s),
    }


def noise_of(source: Path | None, split: str) -> "NoiseBank | None":
    """Noise recordings for a test of this split: those of split 'test' for test talkers, else those for training."""
    from softspoken.data.noise import read_noise

    return None if source is None else read_noise(source, "test" if split == "test" else "train")


def range_of(option: str, text: str | None) -> tuple[float, float] | None:
    """'5' or '-5,5'; None as it is."""
    from softspoken.errors import ConfigError

    if text is None:
        return None
    try:
        low, high = (float(part) for part in (text.split(",") if "," in text else (text, text)))
    except ValueError as error:
        raise ConfigError(f"{option} is '{text}'; give one number or two with a comma: -5,5") from error
    return low, high
