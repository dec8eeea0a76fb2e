"""`softspoken transcribe`: a recording to the words of some voices."""

from typing import Any

from softspoken.cli import transcribe_options as given
from softspoken.cli.checks import language_given, require_backbone, require_prompt
from softspoken.cli.engines import EngineChoice
from softspoken.cli.jobs import Jobs
from softspoken.cli.outputs import Output, names_of
from softspoken.cli.trust import RequireSignature, require_signature_of
from softspoken.cli.wanted import Everyone, Runs, load_wanted, require_voices


def transcribe(
    files: given.Files,
    speaker: given.Speakers = None,
    everyone: given.EveryoneOption = False,
    known_only: given.KnownOnly = False,
    store: given.Store = None,
    plain: given.Plain = False,
    prompt: given.Prompt = None,
    require_signature: RequireSignature = False,
    backbone: given.Backbone = None,
    file_format: given.Format = None,
    words: given.Words = False,
    language: given.Language = None,
    beam: given.Beam = 1,
    timestamps: given.Timestamps = True,
    vad: given.Vad = False,
    insist: given.Insist = False,
    channel: given.Channel = "mix",
    track: given.Track = None,
    partial: given.Partial = False,
    raw: given.Raw = None,
    engine: given.Engine = EngineChoice.AUTO,
    precision: given.Precision = None,
    out: given.Out = None,
    out_dir: given.OutDir = None,
    resume: given.Resume = False,
    device: given.Device = "cpu",
) -> None:
    """Write down what the given voices say in recordings, and nobody else's words."""
    found: Everyone = "known" if known_only else "all" if everyone else "no"
    speakers = speakers_given(speaker, plain, prompt, vad, found)
    require_backbone(backbone, device)
    require_prompt(prompt)
    spoken = language_given(language, backbone, prompt)
    clips = require_voices(speakers, store)
    output = Output.of(out, out_dir, file_format, names_of(files, channel), [*files, *clips], resume)
    jobs = Jobs.of(files, channel, {"sample_rate": raw, "track": track, "partial": partial})

    from softspoken.decoding import DecodingOptions, WindowOptions

    cut: Any = "speech" if vad else "quiet"
    windows = WindowOptions(cut=cut, batch=1) if output.prints_lines else WindowOptions(cut=cut)
    chosen: dict[str, Any] = {
        "timestamps": timestamps,
        "beam_size": beam,
        "insist": insist,
        "words": words or output.needs_words,
    }
    options = DecodingOptions(language=spoken, windows=windows, **chosen)
    runs: Runs = (device, engine.value, None if precision is None else precision.value)
    if require_signature and not (plain and prompt is None):
        require_signature_of("shipped" if prompt is None else prompt)
    jobs.run(load_wanted(speakers, store, prompt, backbone, runs, options, found), output)


def speakers_given(
    speakers: list[str] | None, plain: bool, prompt: str | None, vad: bool, found: Everyone
) -> list[str]:
    """Whose words; none: everybody's. Raises ConfigError for options that do not go together."""
    from softspoken.errors import ConfigError

    chosen = [] if speakers is None else speakers
    if len(set(chosen)) < len(chosen):
        twice = next(name for name in chosen if chosen.count(name) > 1)
        raise ConfigError(f"--speaker {twice} is given {chosen.count(twice)} times; give every voice once")
    if plain and (chosen or found != "no"):
        raise ConfigError("--plain follows no voice; leave out --speaker and --everyone, or --plain")
    if not plain and not chosen and found == "no":
        raise ConfigError(
            "whose words? give --speaker NAME or --speaker CLIP, --everyone for all voices one by one, or --plain for "
            "everybody's words together"
        )
    if plain and prompt is None and vad:
        raise ConfigError("--vad cuts windows for a prompt, plain Whisper has its own; give --prompt short, too")
    return chosen
