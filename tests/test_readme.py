"""The Python of the README and of the page behind it, run as it stands on the demo's recordings."""

import re
from pathlib import Path
from typing import Any

import pytest
import soundfile

import softspoken
from softspoken.audio import load_audio

DEMO = Path(softspoken.__file__).parent / "assets" / "demo"
REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "docs" / "how-it-works.md"]
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
]


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for voice in ("ada", "boris"):
        soundfile.write(tmp_path / f"{voice}.wav", load_audio(DEMO / f"voice_{voice}.flac"), 16_000)
    soundfile.write(tmp_path / "meeting.mp3", load_audio(DEMO / "office.flac"), 16_000, format="MP3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOFTSPOKEN_HOME", str(tmp_path / "home"))
    assert len(BLOCKS) == 2
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    ada, meeting = names["transcript"].text, names["meeting"]
    assert "invoice" in ada.lower()
    assert "design review" not in ada.lower()
    assert meeting.speakers == ("ada", "boris")
    assert "design review" in meeting.transcripts[1].text.lower()
    assert set(meeting.transcripts[0].text.split()) <= set(ada.split())
    assert names["encoded"].states.shape[0] == 1


def test_the_map_of_the_house_names_files_that_are_there() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py|[\w/]+/)`", page)
    assert len(named) > 40
    roots = (REPOSITORY, REPOSITORY / "src", REPOSITORY / "src" / "softspoken", REPOSITORY / "src" / "softspoken_lab")
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []
