"""`softspoken-lab analyse report`: a page from one command, talk on stderr, one line for what is wrong."""

import json
from functools import partial
from pathlib import Path

import pytest
from made_noise import speech_like
from made_report import QUICK, World, make_world
from tiny_subjects import BACKBONE, write_manifest
from typer.testing import CliRunner

from softspoken.audio import write_audio
from softspoken.errors import SoftspokenError
from softspoken_lab.cli.main import app
from softspoken_lab.report import inputs, plan


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    write_manifest(folder / "speech", 3)
    write_manifest(folder / "loud", 2)
    return make_world(folder)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "load_encoder", lambda *_: BACKBONE)
    options = partial(plan.ReportOptions, clusters=QUICK.clusters, probe=QUICK.probe)
    monkeypatch.setattr(plan, "ReportOptions", options)


def arguments(world: World, out: Path, *more: object) -> list[str]:
    given = [
        world.folder / "m4",
        "--data",
        f"clean={world.folder / 'speech'}",
        "--data",
        f"noisy={world.folder / 'loud'}",
    ]
    return ["analyse", "report", *map(str, given), "--seeds", "1", "--out", str(out), *map(str, more)]


def run(command: list[str]) -> tuple[str, str]:
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def everything(world: World) -> list[object]:
    shift = ["--shift-noise", world.folder / "office", "--shift-data", f"there={world.folder / 'loud'}"]
    return ["--frozen", world.folder / "frozen", "--noise", world.folder / "noise", *shift]


def test_one_command_writes_the_page_and_the_tables(world: World, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    said, told = run(arguments(world, out, *everything(world), "--csv", tmp_path / "csv"))
    assert said == f"{out}\n"
    assert "leave-one-out: " in told
    assert "probe: " in told
    page = out.read_text(encoding="utf-8")
    assert "Not made" not in page
    for label in ("Table 1", "Table 2", "Table 3", "Table 4", "Figure 1", "Figure 2", "Figure 3", "Figure 4"):
        assert label in page
    assert str(world.folder / "speech") in page
    assert len(list((tmp_path / "csv").glob("*.csv"))) == 9
    # Beside the page, so that a second run finds it.
    assert (tmp_path / "page.cache").is_dir()
    _, again = run(arguments(world, out, *everything(world)))
    assert again.count("kept from an earlier run") == 9


def test_without_options_the_page_says_which_add_more(world: World, tmp_path: Path) -> None:
    run(arguments(world, tmp_path / "page.html", "--cache", tmp_path / "kept"))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("Not made") == 3
    assert "--frozen RECOGNIZER" in page
    assert list((tmp_path / "kept").glob("clusters-*.json"))
    assert not (tmp_path / "page.cache").exists()


def test_json_for_programs(world: World, tmp_path: Path) -> None:
    said, told = run(arguments(world, tmp_path / "page.html", "--json"))
    found = json.loads(said)
    assert found["subject"]["prompts"] == 4
    assert set(found["leave_one_out"]["full"]["wer"]) == {"clean", "noisy"}
    assert str(tmp_path / "page.html") in told


def test_damaged_files_of_the_cache_are_told_and_mended(world: World, tmp_path: Path) -> None:
    command = arguments(world, tmp_path / "page.html")
    run(command)
    (file,) = (tmp_path / "page.cache").glob("removal-*.json")
    file.write_text("{")
    _, told = run(command)
    assert "is damaged" in told
    assert "removal" in told
    assert "is damaged" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "is damaged" not in run(command)[1]


def test_sets_of_the_same_name_in_both_environments_are_told_apart(world: World, tmp_path: Path) -> None:
    shift = ["--shift-noise", world.folder / "office", "--shift-data", f"clean={world.folder / 'loud'}"]
    run(arguments(world, tmp_path / "page.html", *shift))
    assert "clean (new noise)" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--data", "clean"], "NAME=PATH"),
        (["--data", "clean={folder}/loud"], "two sets"),
        (["--data", "more={folder}/nothing.jsonl"], "nothing.jsonl"),
        (["--frozen", "{folder}/m4"], "--frozen"),
        (["--frozen", "{folder}/speech"], "no recogniser"),
        (["--noise", "{folder}/nowhere"], "nowhere"),
        (["--noise", "{folder}/noise", "--noise-split", "night"], "night"),
        (["--clean", "quiet"], "--clean"),
        (["--cache", "{folder}/speech/manifest.jsonl"], "--cache"),
        (["--out", "{folder}"], "is a folder"),
        (["--split", "train"], "train"),
    ],
)
def test_what_cannot_be_is_one_clear_line(world: World, tmp_path: Path, changes: list[str], words: str) -> None:
    changed = [part.format(folder=world.folder) for part in changes]
    result = CliRunner().invoke(app, arguments(world, tmp_path / "page.html", *changed))
    assert isinstance(result.exception, SoftspokenError), result.output
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("reference", ["frozen", "m4/prompt", "speech", "nowhere"])
def test_what_is_no_recogniser_with_prompts_is_refused(world: World, tmp_path: Path, reference: str) -> None:
    command = arguments(world, tmp_path / "page.html")
    command[2] = str(world.folder / reference)
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, SoftspokenError), result.output
    assert "\n" not in str(result.exception)


def test_a_damaged_recording_is_named(world: World, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    manifest = write_manifest(broken, 2)
    (broken / "u1.flac").write_bytes(b"not audio")
    result = CliRunner().invoke(app, arguments(world, tmp_path / "page.html", "--data", f"broken={manifest}"))
    assert isinstance(result.exception, SoftspokenError)
    assert "u1" in str(result.exception)
    # What was done before is kept; once mended, the report goes on.
    write_audio(broken / "u1.flac", speech_like(1.0, 1))
    run(arguments(world, tmp_path / "page.html", "--data", f"broken={manifest}"))
