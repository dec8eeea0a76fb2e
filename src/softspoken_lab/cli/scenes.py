"""`softspoken-lab mixtures`, `vary`: test mixtures in a room and in noise, and a test set with one thing changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from softspoken_lab.noise.bank import NoiseBank

SpeechManifest = Annotated[
    Path, typer.Argument(help="manifest.jsonl of a folder of speech (id, path, split, corpus, speaker, text, ...).")
]
Out = Annotated[Path, typer.Argument(help="New folder for the mixtures and their manifest.jsonl.")]
Count = Annotated[int | None, typer.Option(help="Mixtures; each talker is a target once.")]
Talkers = Annotated[int | None, typer.Option(help="Talkers a mixture.")]
Level = Annotated[
    str | None, typer.Option(help="Level of the first talker against the others (default 0), or a range: '-5,5'.")
]
Overlap = Annotated[
    str | None,
    typer.Option(help="Share of the shorter speech that is covered: '0.5,1'. Every further talker covers the first."),
]
OverlapOf = Annotated[
    Literal["frames", "stretches"] | None,
    typer.Option(
        help="The share is one of speech frames (default; pauses put 0 and 1 out of reach), or of stretches from "
        "the first to the last word, which is exact from 0 to 1."
    ),
]
Targets = Annotated[
    Literal["all", "first"] | None,
    typer.Option(help="Who is a target: every talker (default), or the first alone, at exactly the asked level."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="The same seed gives the same bytes.")]
Whose = Annotated[
    Literal["train", "development", "test"] | None,
    typer.Option(help="Talkers to take (default: test). Never choose a setting by results on 'test'."),
]
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


def mixtures(
    speech_manifest: SpeechManifest,
    out: Out,
    count: Count = None,
    talkers: Talkers = None,
    snr_db: Level = None,
    overlap: Overlap = None,
    overlap_of: OverlapOf = None,
    targets: Targets = None,
    noise: Noise = None,
    noise_snr_db: NoiseLevel = None,
    rt60_s: Reverberation = None,
    seed: Seed = None,
    split: Whose = None,
) -> None:
    """Mix talkers for a test, in a room and in noise if asked for: recordings, enrolments from other speech, clean and
    silent targets, manifest."""
    from softspoken_lab.testsets.scenes import SceneSpec, build_scenes

    given: dict[str, Any] = {"count": count, "talkers": talkers, "seed": seed, "split": split}
    given |= {"overlap_of": overlap_of, "targets": targets}
    given |= {"snr_db": range_of("--snr-db", snr_db), "overlap": range_of("--overlap", overlap)}
    given |= surroundings_of(noise_snr_db, rt60_s)
    spec = SceneSpec(**{name: value for name, value in given.items() if value is not None})
    written = build_scenes(speech_manifest, out, spec, noise_of(noise, spec.split))
    typer.echo(f"{spec.count} mixtures from split '{spec.split}', seed {spec.seed}", err=True)
    typer.echo(written)


def vary(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST.jsonl", help="A test set of 'softspoken evaluate'.")],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="New folder.")],
    enrolment_s: Annotated[
        float | None,
        typer.Option(min=0.5, help="Seconds of every enrolment, cut or joined with others of the same voice."),
    ] = None,
    telephone: Annotated[
        bool, typer.Option("--telephone", help="Send the mixtures over a telephone line (300 to 3,400 Hz).")
    ] = False,
    telephone_enrolment: Annotated[
        bool, typer.Option("--telephone-enrolment", help="Send the enrolments over a telephone line.")
    ] = False,
) -> None:
    """Write a test set once more with other enrolments or over a telephone line, to see what that costs."""
    from softspoken_lab.testsets.variants import vary as written

    typer.echo(f"{written(manifest, out, enrolment_s, telephone, telephone_enrolment)} items", err=True)
    typer.echo(out / "manifest.jsonl")


def surroundings_of(noise_snr_db: str | None, rt60_s: str | None) -> dict[str, tuple[float, float] | None]:
    """The options of noise and room, as `SceneSpec` takes them."""
    return {
        "noise_snr_db": range_of("--noise-snr-db", noise_snr_db),
        "rt60_s": range_of("--rt60-s", rt60_s),
    }


def noise_of(source: Path | None, split: str) -> "NoiseBank | None":
    """Noise recordings for a test of this split: those of split 'test' for test talkers, else those for training."""
    from softspoken_lab.noise.bank import read_noise

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
