"""LibriCSS and AMI through lhotse's recipes, to stretches of meetings with what each participant says in them.

Written here is what lhotse has not: enrolments, each participant's words a stretch, stretches of AMI.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from softspoken.errors import DataError
from softspoken_lab.corpora.layout import chosen, lhotse_reading, require_file, root_of
from softspoken_lab.corpora.meetings import Meeting, groups, mixtures_of
from softspoken_lab.corpora.mixture_corpus import MixtureOptions, Part, Split
from softspoken_lab.corpora.references import Said, Span

CONDITIONS = ("0S", "0L", "OV10", "OV20", "OV30", "OV40")
LIBRICSS_VARIANTS = ("sdm/segments", "sdm/sessions", "ihm-mix/segments", "ihm-mix/sessions")
"""`sdm`: the first microphone of the array; `ihm-mix`: what the loudspeakers played, summed. `segments`: the corpus's
own, of about a minute (all_res.json)."""
AMI_VARIANTS = ("ihm-mix/segments", "ihm-mix/sessions", "sdm/segments", "sdm/sessions")
"""`ihm-mix`: the headsets, summed; `sdm`: the first microphone of the array. `segments`: see `meetings.groups`."""
AMI_PARTITION = "full-corpus-asr"
_AMI_SPLITS: Mapping[str, Split] = {"train": "train", "dev": "development", "test": "test"}
_AMI_NAMES = {"ihm-mix": "Mix-Headset.wav", "sdm": "Array1-01.wav"}
_ANNOTATIONS = "ami_public_manual_1.6.2"


def libricss(source: Path, only: Sequence[str], options: MixtureOptions) -> Iterator[Part]:
    """LibriCSS, a part an overlap condition ('0S' ... 'OV40'), all for testing. Texts are in lower case.

    Raises DataError for a condition or a recording that is not there.
    """
    mic, _, unit = options.choose(LIBRICSS_VARIANTS, "libricss").partition("/")
    root = root_of(
        source,
        ("for_release",),
        lambda folder: folder.name == "for_release" and any((folder / name).is_dir() for name in CONDITIONS),
        f"folder 'for_release' with {', '.join(CONDITIONS)} (of LibriCSS)",
    )
    missing = [name for name in CONDITIONS if not (root / name).is_dir()]
    if missing:
        raise DataError(f"'{root}' has no '{missing[0]}'; LibriCSS is read whole: unpack for_release.zip again")
    if unit == "segments":
        require_file(root / "all_res.json", "LibriCSS")
    with lhotse_reading("libricss", root) as recipe:
        read = recipe.prepare_libricss(root, type=mic, segmented_cuts=unit == "segments")
        # LibriSpeech has capitals only; lower case is what the target-speaker paper trains and tests with.
        said = _by_recording(read["supervisions"], "librispeech_test-clean", str.lower)
        meetings = {one.id: _meeting(one, said.get(one.id, ())) for one in read["recordings"]}
        spans: dict[str, list[Span]] = defaultdict(list)
        for cut in read.get("segments", ()):
            spans[cut.recording_id].append((cut.start, cut.end))
    for condition in chosen(only, CONDITIONS, "condition", root):
        own = [meetings[name] for name in sorted(meetings) if name.partition("_")[0] == condition]
        part = Part(condition, "test", ())
        part.mixtures = mixtures_of(
            part, own, tuple(meetings.values()), lambda one: spans[one.id], unit == "sessions", options, (condition,)
        )
        yield part


def ami(source: Path, only: Sequence[str], options: MixtureOptions) -> Iterator[Part]:
    """AMI's train, dev and test of the partition 'full-corpus-asr', with the times of all words.

    Meetings whose recordings are not there are left out (the first microphone of some was never published) and
    counted. Raises DataError for missing annotations, or no recordings of a part.
    """
    mic, _, unit = options.choose(AMI_VARIANTS, "ami").partition("/")
    annotations = _annotations(source)
    files = sorted(source.rglob(f"*.{_AMI_NAMES[mic]}"))
    if not files:
        raise DataError(f"'{source}' has no recordings '*/audio/*.{_AMI_NAMES[mic]}'; get AMI's {mic} recordings")
    with lhotse_reading("ami", source) as recipe:
        parts = recipe.PARTITIONS[AMI_PARTITION]
        recordings = recipe.prepare_audio_single(files, mic)
        noted = recipe.parse_ami_annotations(annotations, normalize="none")
        said = _by_recording(recipe.prepare_supervision_other(recordings, noted), "ami", str)
        meetings = {one.id: _meeting(one, said[one.id]) for one in recordings if one.id in said}
    there = [name for name in _AMI_SPLITS if any(one in meetings for one in parts[name])]
    for name in chosen(only, there, "part with recordings and words", source):
        own = [meetings[one] for one in sorted(parts[name]) if one in meetings]
        part = Part(name, _AMI_SPLITS[name], ())
        if len(own) < len(parts[name]):
            part.left_out["meetings without a recording or words here"] = len(parts[name]) - len(own)
        part.mixtures = mixtures_of(part, own, own, groups, unit == "sessions", options)
        yield part


def _annotations(source: Path) -> Path:
    for folder in (source / _ANNOTATIONS, source):
        if (folder / "corpusResources" / "meetings.xml").is_file():
            return folder
    packed = source / f"{_ANNOTATIONS}.zip"
    do = (
        f"unpack '{packed}' into '{packed.with_suffix('')}'" if packed.is_file() else f"get {packed.name} and unpack it"
    )
    raise DataError(f"'{source}' has no '{_ANNOTATIONS}/corpusResources/meetings.xml' (AMI's annotations); {do}")


def _meeting(recording: Any, said: Iterable[Said]) -> Meeting:
    path = Path(recording.sources[0].source)
    one_channel = len(recording.sources[0].channels) == 1
    return Meeting(recording.id, path, float(recording.duration), tuple(said), one_channel, recording.sampling_rate)


def _by_recording(supervisions: Iterable[Any], corpus: str, spelt: Callable[[str], str]) -> dict[str, list[Said]]:
    said: dict[str, list[Said]] = defaultdict(list)
    for one in sorted(supervisions, key=lambda one: (one.start, one.speaker)):
        words = (one.alignment or {}).get("word", ())
        timed = tuple((word.symbol, float(word.start), float(word.end)) for word in words)
        text = spelt(" ".join(one.text.split()))
        if text:
            talker = f"{corpus}:{one.speaker}"
            said[one.recording_id].append(Said(talker, float(one.start), float(one.end), text, timed))
    return dict(said)
