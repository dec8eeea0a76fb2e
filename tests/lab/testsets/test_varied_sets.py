"""A test set once more, with one thing changed."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from softspoken.audio import SAMPLE_RATE_HZ, load_audio, write_audio
from softspoken_lab.cli.main import app


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two items of one voice, with enrolments of 2 s of white noise each."""
    rng = np.random.default_rng(0)
    lines = []
    for number in range(2):
        for kind in ("audio", "enrolment", "clean"):
            sound = rng.normal(0, 0.1, 2 * SAMPLE_RATE_HZ).astype(np.float32)
            write_audio(tmp_path / f"{kind}{number}.wav", sound)
        row = {"id": str(number), "audio": f"audio{number}.wav", "enrolment": f"enrolment{number}.wav"}
        row["clean"] = f"clean{number}.wav"
        lines.append(json.dumps(row | {"text": "one", "target": "ada", "tags": ["speaking"]}))
    path = tmp_path / "manifest.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def varied(manifest: Path, *options: str) -> list[dict[str, object]]:
    out = manifest.parent / "out"
    done = CliRunner().invoke(app, ["vary", str(manifest), str(out), *options])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("seconds", [0.5, 2.0, 3.5])
def test_every_enrolment_is_as_long_as_asked_for(manifest: Path, seconds: float) -> None:
    rows = varied(manifest, "--enrolment-s", str(seconds))
    sounds = [load_audio(manifest.parent / "out" / str(row["enrolment"])) for row in rows]
    assert [len(sound) for sound in sounds] == [round(seconds * SAMPLE_RATE_HZ)] * 2
    own = load_audio(manifest.parent / "enrolment1.wav")
    shared = min(len(own), len(sounds[1]))
    np.testing.assert_allclose(sounds[1][:shared], own[:shared], atol=1e-4)
    # What does not change stays where it is.
    assert rows[0]["audio"] == str((manifest.parent / "audio0.wav").resolve())


@pytest.mark.parametrize("part", ["audio", "clean"])
def test_a_telephone_line_leaves_nothing_above_four_kilohertz(manifest: Path, part: str) -> None:
    row = varied(manifest, "--telephone")[0]
    power = np.abs(np.fft.rfft(load_audio(manifest.parent / "out" / str(row[part])))) ** 2
    hertz = np.linspace(0, SAMPLE_RATE_HZ / 2, power.size)
    assert power[hertz > 4000].sum() < 1e-4 * power.sum()


def test_too_long_an_enrolment_leaves_nothing(manifest: Path) -> None:
    done = CliRunner().invoke(app, ["vary", str(manifest), str(manifest.parent / "out"), "--enrolment-s", "9"])
    assert done.exit_code == 1
    assert not (manifest.parent / "out" / "manifest.jsonl").exists()
