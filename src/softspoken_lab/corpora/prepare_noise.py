"""Corpora of noise as they are unpacked, to rows of a noise manifest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softspoken.audio import duration_s
from softspoken.errors import DataError
from softspoken_lab.corpora.layout import chosen, csv_lines, lhotse_reading, require_file, root_of, split_by_name
from softspoken_lab.noise.bank import read_noise, type_of

Row = dict[str, Any]

ESC50_CATEGORIES = {
    "vacuum_cleaner": "ac_vacuum",
    "keyboard_typing": "keyboard",
    "mouse_click": "mouse",
    "clock_tick": "clock",
}
"""Its categories that are called otherwise here."""
FSD50K_CATEGORIES = {
    "Computer_keyboard": "keyboard",
    "Typing": "keyboard",
    "Typewriter": "typewriter",
    "Printer": "printer",
    "Telephone": "phone",
    "Ringtone": "phone",
    "Clock": "clock",
    "Tick-tock": "clock",
    "Writing": "paper",
    "Crumpling_and_crinkling": "paper",
    "Tearing": "paper",
    "Drawer_open_or_close": "office",
    "Scissors": "office",
    "Mechanical_fan": "office",
    "Subway_and_metro_and_underground": "metro",
    "Traffic_noise_and_roadway_noise": "traffic",
    "Chatter": "babble",
    "Crowd": "babble",
}
"""Its labels that are called otherwise here."""
FSD50K_OFFICE = tuple(label for label, name in FSD50K_CATEGORIES.items() if type_of(name) == "ood-office")
"""What `office` stands for (the paper's section 3.3 takes office-related sounds of this corpus)."""
_FSD50K_NOT_NOISE = frozenset({"Human_voice", "Speech", "Music"})
DEMAND_CATEGORIES = {
    "TCAR": "car",
    "TMETRO": "metro",
    "TBUS": "bus",
    "STRAFFIC": "traffic",
    "PSTATION": "airport_station",
    "PCAFETER": "cafe",
    "PRESTO": "cafe",
    "SCAFE": "cafe",
    "OOFFICE": "office",
    "OMEETING": "office",
    "OHALLWAY": "office",
}
"""Its environments that are called otherwise here."""
_WHAM_SPLITS = {"tr": "train", "cv": "development", "tt": "test"}
_FSD50K_SPLITS = {"train": "train", "val": "development"}


def _row(corpus: str, identity: str, path: Path | str, category: str, split: str, seconds: float) -> Row:
    return {
        "id": f"{corpus}:{identity}",
        "path": str(path),
        "split": split,
        "type": type_of(category),
        "category": category,
        "source": corpus,
        "duration_s": round(seconds, 6),
    }


def musan(source: Path, only: Sequence[str]) -> list[Row]:
    """MUSAN's parts, `noise` alone if none is given. A fifth of the recordings, by name, is 'test'."""
    root = root_of(source, ("musan",), lambda folder: (folder / "noise").is_dir(), "folder 'noise' (of MUSAN)")
    parts = chosen(only if only else ("noise",), [p.name for p in sorted(root.iterdir()) if p.is_dir()], "part", root)
    rows = []
    with lhotse_reading("musan", root) as recipe:
        for part in parts:
            for recording in recipe.prepare_musan(root, parts=(part,))[part]["recordings"]:
                path = recording.sources[0].source
                rows.append(_row("musan", recording.id, path, part, split_by_name(recording.id), recording.duration))
    return sorted(rows, key=lambda row: str(row["id"]))


def wham(source: Path, only: Sequence[str]) -> list[Row]:
    """WHAM's noise (cafés, bars, offices, parks); its tr, cv and tt are the splits train, development and test."""

    def parts(folder: Path) -> list[str]:
        return [name for name in _WHAM_SPLITS if any((folder / name).glob("*.wav"))]

    root = root_of(source, ("wham_noise",), lambda folder: bool(parts(folder)), "folder tr, cv or tt with wav files")
    chosen_parts = chosen(only if only else tuple(_WHAM_SPLITS), parts(root), "part", root)
    rows = []
    with lhotse_reading("wham", root) as recipe:
        for part in chosen_parts:
            recordings = recipe.scan_recordings(root / part)
            for one in sorted(recordings, key=lambda recording: str(recording.id)):
                path = one.sources[0].source
                rows.append(_row("wham", one.id, path, "wham", _WHAM_SPLITS[part], one.duration))
    return rows


def esc50(source: Path, only: Sequence[str]) -> list[Row]:
    """ESC-50 by its meta/esc50.csv; fold 5 is 'test' (no recording is in two folds). `only`: its own category names."""
    inner = ("ESC-50-master", "ESC-50")
    root = root_of(
        source, inner, lambda folder: (folder / "meta" / "esc50.csv").is_file(), "meta/esc50.csv (of ESC-50)"
    )
    lines = list(csv_lines(root / "meta" / "esc50.csv", ("filename", "fold", "category")))
    there = sorted({line["category"] for line in lines})
    office = [name for name in there if type_of(ESC50_CATEGORIES.get(name, name)) == "ood-office"]
    wanted = chosen([n for name in only for n in (office if name == "office" else [name])], there, "category", root)
    rows = []
    for line in lines:
        if line["category"] in wanted:
            path = root / "audio" / line["filename"]
            require_file(path, "ESC-50")
            category = ESC50_CATEGORIES.get(line["category"], line["category"])
            split = "test" if line["fold"].strip() == "5" else "train"
            rows.append(_row("esc50", path.stem, path, category, split, duration_s(path)))
    return rows


def fsd50k(source: Path, only: Sequence[str]) -> list[Row]:
    """FSD50K by its ground truth; its own division, `val` becoming 'development'. `only`: its labels, or 'office'.

    A clip's category is its first label among those asked for. With labels asked for, clips in which there is also
    speech or music are left out: they are no noise.
    """
    truth = "FSD50K.ground_truth"
    root = root_of(source, ("FSD50K",), lambda folder: (folder / truth).is_dir(), f"folder '{truth}'")
    lists = [name for name in ("dev", "eval") if (root / truth / f"{name}.csv").is_file()]
    if not lists:
        raise DataError(f"'{root / truth}' has neither dev.csv nor eval.csv; unpack the ground truth again")
    clips = [
        (name, line, line["labels"].split(","))
        for name in lists
        for line in csv_lines(root / truth / f"{name}.csv", ("fname", "labels"))
    ]
    there = sorted({label for _, _, labels in clips for label in labels})
    office = [label for label in FSD50K_OFFICE if label in there]
    wanted = chosen([n for name in only for n in (office if name == "office" else [name])], there, "label", root)
    rows = []
    for name, line, labels in clips:
        own = [label for label in labels if label in wanted]
        if not own or (only and _FSD50K_NOT_NOISE.difference(wanted).intersection(labels)):
            continue
        path = root / f"FSD50K.{name}_audio" / f"{line['fname']}.wav"
        require_file(path, "FSD50K")
        split = "test" if name == "eval" else _FSD50K_SPLITS.get(line.get("split", "train"), "train")
        category = FSD50K_CATEGORIES.get(own[0], own[0].lower())
        rows.append(_row("fsd50k", line["fname"], path, category, split, duration_s(path)))
    return rows


def demand(source: Path, only: Sequence[str]) -> list[Row]:
    """DEMAND's environments, the first of the sixteen channels of each. One recording each: all of it is 'train'."""

    def environments(folder: Path) -> list[str]:
        return sorted(path.parent.name for path in folder.glob("*/ch01.wav"))

    inner = ("DEMAND", "demand")
    root = root_of(
        source, inner, lambda folder: bool(environments(folder)), "folder with a ch01.wav (DKITCHEN/ch01.wav ...)"
    )
    rows = []
    for name in chosen(only, environments(root), "environment", root):
        path = root / name / "ch01.wav"
        environment = name.partition("_")[0]
        category = DEMAND_CATEGORIES.get(environment, environment.lower())
        rows.append(_row("demand", name, path, category, "train", duration_s(path)))
    return rows


def folder(source: Path, only: Sequence[str]) -> list[Row]:
    """Any folder of recordings, its folders being the categories (`read_noise`). A fifth, by name, is 'test'."""
    bank = read_noise(source)
    wanted = chosen(only, tuple(bank.by_category), "category", source)
    return [
        _row(source.resolve().name, clip.id, clip.path, clip.category, split_by_name(clip.id), clip.duration_s)
        for clip in bank.clips
        if clip.category in wanted
    ]
