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
    ada, together = names["transcript"].text, names["both"]
    assert "invoice" in ada.lower()
    assert "design review" not in ada.lower()
    assert [together[0].text, len(together)] == [ada, 2]
    assert names["encoded"].states.shape[0] == 1
