"""What is to be transcribed: a folder's recordings, a manifest's lines, lhotse's cuts, here and elsewhere."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from softspoken.bulk import Item, items_of
from softspoken.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.wav", "a/c.FLAC", "a/b.mp3", "notes.txt", "a/._b.mp3", ".hidden.wav"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    return tmp_path / "in"


def manifest(folder: Path, *lines: object, name: str = "manifest.jsonl") -> str:
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines).encode()
    (folder / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return str(folder / name)


def test_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = items_of(str(folder))
    assert [item.id for item in found] == ["a/b.mp3", "a/c.FLAC", "b.wav"]
    assert all(Path(item.path) == folder / item.id for item in found)
    assert items_of(f"{folder}/") == found
    monkeypatch.chdir(folder.parent)
    assert items_of("in") == found
    assert items_of(f"file://{folder}") == [Item(item.id, f"file://{item.path}") for item in found]


def test_a_folder_in_an_archive_is_one(folder: Path, tmp_path: Path) -> None:
    """Every place that fsspec knows is opened in the same way."""
    import fsspec

    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("x/a.wav", b"sound")
    (item,) = items_of(f"zip://x::file://{tmp_path}/all.zip")
    assert item.id == "a.wav"
    with fsspec.open(item.path, "rb") as file:
        assert file.read() == b"sound"


@pytest.mark.parametrize("name", ["manifest.jsonl", "manifest.jsonl.gz"])
def test_a_manifest(folder: Path, name: str) -> None:
    source = manifest(
        folder,
        {"path": "b.wav", "speakers": ["ada", "clips/boris.wav"]},
        "",
        {"audio": "s3://bucket/c.wav", "id": "far", "speakers": "ada"},
        {"path": "/elsewhere/d.wav", "text": "ignored", "start_s": 1, "duration_s": 2.5, "channel": "left"},
        name=name,
    )
    assert items_of(source) == [
        Item("b.wav", str(folder / "b.wav"), ("ada", str(folder / "clips/boris.wav"))),
        Item("far", "s3://bucket/c.wav", ("ada",)),
        Item("/elsewhere/d.wav", "/elsewhere/d.wav", (), 1.0, 2.5, "left"),
    ]


def test_an_item_survives_a_manifest(folder: Path) -> None:
    items = [Item("a", "/x/a.wav"), Item("b", "s3://x/b.wav", ("ada",), 1.0, None, "right")]
    assert items_of(manifest(folder, *(item.line() for item in items))) == items


def test_cuts_of_lhotse(tmp_path: Path) -> None:
    """As lhotse writes them."""
    lhotse = pytest.importorskip("lhotse", reason="lhotse is not installed: pip install 'softspoken[lab]'")

    def recorded(name: str, channels: list[int]) -> object:
        sources = [lhotse.AudioSource("file", channels, f"/x/{name}.wav")]
        return lhotse.Recording(name, sources, 16_000, 160_000, 10.0)

    mono, stereo = recorded("mono", [0]), recorded("stereo", [0, 1])
    cuts = lhotse.CutSet.from_cuts(
        [
            lhotse.MonoCut("whole", 0.0, 10.0, 0, recording=mono),
            lhotse.MonoCut("part", 2.5, 4.0, 0, recording=mono, custom={"speakers": ["ada"]}),
            lhotse.MonoCut("side", 0.0, 10.0, 1, recording=stereo),
            lhotse.MultiCut("both", 0.0, 10.0, [0, 1], recording=stereo),
        ]
    )
    cuts.to_file(tmp_path / "cuts.jsonl.gz")
    assert items_of(str(tmp_path / "cuts.jsonl.gz")) == [
        Item("whole", "/x/mono.wav"),
        Item("part", "/x/mono.wav", ("ada",), 2.5, 4.0),
        Item("side", "/x/stereo.wav", channel="right"),
        Item("both", "/x/stereo.wav"),
    ]
    lhotse.RecordingSet.from_recordings([mono]).to_file(tmp_path / "recordings.jsonl")
    assert items_of(str(tmp_path / "recordings.jsonl")) == [Item("mono", "/x/mono.wav")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["not json"], "line 1 of .* says no recording"),
        ([{"path": "a.wav"}, {"text": "hello"}], "line 2 of .* says no recording"),
        ([["a.wav"]], "line 1 of .* says no recording"),
        ([{"path": "a.wav", "channel": "up"}], "line 1 .*channel 'up'; expected mix, left or right"),
        ([{"path": "a.wav"}, {"path": "a.wav"}], "lines 1 and 2 of .* are both called 'a.wav'"),
        ([], "no recording in"),
        ([{"recording": {"sources": [{"type": "command", "source": "cat", "channels": [0]}]}}], "expected one source"),
    ],
)
def test_lines_that_say_nothing(folder: Path, lines: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        items_of(manifest(folder, *lines))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing", "'missing' does not exist"),
        ("in/notes.txt", "neither a folder nor a manifest"),
        ("in/missing.jsonl", "cannot be read"),
        ("nosuch://bucket/x", "cannot be read"),
        ("empty", "no recording in 'empty'"),
    ],
)
def test_no_source(folder: Path, source: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    (folder.parent / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        items_of(source)
