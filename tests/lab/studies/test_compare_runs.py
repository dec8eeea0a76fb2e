"""Runs beside each other: what is one configuration, what differs from the baseline, and what is not there."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from softspoken.errors import ConfigError, DataError
from softspoken.training.config import TrainConfig
from softspoken_lab.cli.main import app
from softspoken_lab.studies.compare import compare_runs
from softspoken_lab.studies.compare_files import plots, write_comparison
from softspoken_lab.studies.compare_table import comparison_json, comparison_markdown
from softspoken_lab.studies.groups import difference_names, group_runs
from softspoken_lab.studies.records import read_run

ITEMS = 20


def made_run(folder: Path, *, seed: int = 0, steps_done: int = 10, facts: bool = False, **prompts: Any) -> Path:
    """A run's folder as training leaves it; `prompts`: of its configuration."""
    folder.mkdir(parents=True)
    config = TrainConfig.model_validate({"steps": 10, "seed": seed, "prompts": prompts})
    (folder / "config.json").write_text(config.model_dump_json())
    rows = [
        {"step": step, "seconds": 30.0 * step, "loss": 1.0} | ({"valid/wer": 1 / step} if step % 5 == 0 else {})
        for step in range(1, steps_done + 1)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if facts:
        known = {"trained_parameters": 1000, "stored_bytes": 2000, "peak_memory_mb": 300.0}
        (folder / "facts.json").write_text(json.dumps(known))
    return folder


def scored(folder: Path, errors: int, *, name: str = "dev", manifest: str = "m", kept: int = 1, **more: Any) -> Path:
    """Twenty items of ten words, `errors` of them wrong in every second one more than in the others, and two silent."""
    (folder / "evaluations").mkdir(parents=True, exist_ok=True)
    rows = [score_row(f"i{n}", errors + n % 2) for n in range(ITEMS)]
    rows += [score_row(f"s{n}", 0) | {"words": 0, "silent": True, "wrote": n >= kept} for n in range(2)]
    (folder / "evaluations" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    facts = {"test": name, "manifest": manifest, "limit": None, "state": "last", **more}
    (folder / "evaluations" / f"{name}.json").write_text(json.dumps(facts))
    return folder


def score_row(item: str, errors: int) -> dict[str, Any]:
    return {
        "method": "run",
        "id": item,
        "substitutions": errors,
        "deletions": 0,
        "insertions": 0,
        "words": 10,
        "silent": False,
        "wrote": True,
        "seconds": 0.1,
    }


def deep(length: int) -> dict[str, Any]:
    return {"encoder": {"length": length}}


def test_runs_that_differ_in_their_seed_are_one_row(tmp_path: Path) -> None:
    folders = [scored(made_run(tmp_path / f"a{seed}", seed=seed, **deep(4)), 2 + seed) for seed in (0, 1, 2)]
    folders.append(scored(made_run(tmp_path / "b", **deep(8)), 5))
    found = compare_runs(folders)
    assert [(row.name, row.group.seeds) for row in found.rows] == [
        ("encoder.length=4", (0, 1, 2)),
        ("encoder.length=8", (0,)),
    ]
    cell = found.rows[0].cells["dev"]
    assert cell.wer.value == pytest.approx(0.35)
    assert cell.wer.low < 0.35 < cell.wer.high
    assert cell.difference is None
    assert found.baseline == "encoder.length=4"


def test_how_a_run_is_watched_makes_no_configuration(tmp_path: Path) -> None:
    one, other = made_run(tmp_path / "one"), made_run(tmp_path / "other", seed=1)
    known = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**known, "save_every": 7, "validate_every": 3}))
    assert len(group_runs([read_run(one), read_run(other)])) == 1


def test_the_same_seed_twice_is_refused(tmp_path: Path) -> None:
    folders = [made_run(tmp_path / name) for name in ("one", "other")]
    with pytest.raises(ConfigError, match="same configuration and seed 0"):
        compare_runs(folders)


def test_differences_are_paired_and_say_whether_they_are_certain(tmp_path: Path) -> None:
    base = scored(made_run(tmp_path / "base", **deep(4)), 3)
    worse = scored(made_run(tmp_path / "worse", **deep(8)), 4)
    same = scored(made_run(tmp_path / "same", **deep(16)), 3)
    found = compare_runs([worse, base, same], baseline=str(base))
    rows = {row.name: row.cells["dev"].difference for row in found.rows}
    # Every item has one error in ten more, so the difference does not depend on which are drawn.
    assert rows["encoder.length=8"].value == pytest.approx(0.1)
    assert rows["encoder.length=8"].low == pytest.approx(rows["encoder.length=8"].high)
    assert rows["encoder.length=8"].certain
    assert not rows["encoder.length=16"].certain
    assert rows["encoder.length=4"] is None
    with pytest.raises(ConfigError, match="none of the runs"):
        compare_runs([base, worse], baseline="nobody")


def test_what_a_run_lacks_is_a_dash_and_null(tmp_path: Path) -> None:
    whole = scored(made_run(tmp_path / "whole", facts=True, **deep(4)), 3)
    scored(whole, 2, name="test")
    bare = scored(made_run(tmp_path / "bare", steps_done=3, **deep(8)), 3)
    found = compare_runs([whole, bare])
    shown = {line.split(" | ")[0].strip("| "): line for line in comparison_markdown(found).splitlines() if "|" in line}
    cells = [cell.strip() for cell in shown["encoder.length=8"].strip("|").split("|")]
    titles = [cell.strip() for cell in shown["runs"].strip("|").split("|")]
    row = dict(zip(titles, cells, strict=True))
    assert [row[title] for title in ("trained", "stored", "memory", "test: WER %", "WER while training %")] == ["-"] * 5
    assert (row["training"], row["mixtures"]) == ("2 min", "12")
    assert "stopped after 3 of 10 steps" in comparison_markdown(found)
    timed = json.loads((bare / "config.json").read_text()) | {"minutes": 1.5}
    (bare / "config.json").write_text(json.dumps(timed))
    assert "stopped after" not in comparison_markdown(compare_runs([whole, bare]))
    plain = comparison_json(found)
    assert plain["rows"][1]["peak_memory_mb"] is None
    assert list(plain["rows"][1]["tests"]) == ["dev"]
    assert plain["rows"][0]["trained_parameters"] == 1000
    assert plain["rows"][0]["tests"]["dev"]["rejection_rate"] == 0.5


def test_a_share_of_few_seeds_stays_a_share(tmp_path: Path) -> None:
    # Nobody rejected with one seed, everybody with the other: the widened draws leave 0 to 1.
    runs = [scored(made_run(tmp_path / f"{seed}", seed=seed), 3, kept=2 * seed) for seed in range(2)]
    found = compare_runs(runs).rows[0].cells["dev"].rejection
    assert found is not None
    assert (found.low, found.high) == (0.0, 1.0)


def test_a_cost_that_one_of_the_seeds_lacks_is_not_a_mean_of_the_others(tmp_path: Path) -> None:
    folders = [made_run(tmp_path / f"r{seed}", seed=seed, facts=seed == 0) for seed in (0, 1)]
    (row,) = compare_runs(folders).rows
    assert row.costs.peak_memory_mb is None
    assert row.costs.train_seconds == pytest.approx(300.0)


def test_other_items_under_one_name_are_not_compared(tmp_path: Path) -> None:
    one = scored(made_run(tmp_path / "one", **deep(4)), 3)
    other = scored(made_run(tmp_path / "other", **deep(8)), 3, manifest="another")
    with pytest.raises(DataError, match="different items"):
        compare_runs([one, other])


def test_talkers_are_resampled_where_they_are_known(tmp_path: Path) -> None:
    talkers = {f"i{n}": f"t{n % 2}" for n in range(ITEMS)}
    run = scored(made_run(tmp_path / "run"), 3, talkers=talkers | {"s0": "t0", "s1": "t1"})
    by_talker = compare_runs([run], by="talker").rows[0].cells["dev"].wer
    # Two talkers with rates of 0.3 and 0.4: drawing both times the same one is as likely as each of them once.
    assert (by_talker.low, by_talker.high) == (pytest.approx(0.3), pytest.approx(0.4))
    unknown = scored(made_run(tmp_path / "unknown", **deep(8)), 3)
    with pytest.raises(DataError, match="the talker of 'i0' is not known"):
        compare_runs([unknown], by="talker")


def test_a_system_that_was_not_trained_has_a_row_of_its_own(tmp_path: Path) -> None:
    run, rival = scored(made_run(tmp_path / "run"), 3), scored(tmp_path / "cascade", 5)
    found = compare_runs([run, rival])
    assert [row.name for row in found.rows] == ["run", "cascade"]
    assert found.rows[1].costs.train_seconds is None
    assert found.rows[1].cells["dev"].difference.certain


def test_a_run_that_went_on_after_it_was_scored_is_told(tmp_path: Path) -> None:
    import torch

    from softspoken.training.state import Progress, save_state

    run = scored(made_run(tmp_path / "run"), 3, state="best", step=5)
    module = torch.nn.Linear(1, 1)
    save_state(run / "best.safetensors", module, torch.optim.AdamW(module.parameters()), Progress(step=10))
    assert any("score it again" in note for note in compare_runs([run]).notes)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([{"a": 1, "b": 2}, {"a": 1, "b": 3}], ["b=2", "b=3"]),
        ([{"p": {"f": None}}, {"p": {"f": {"k": 72, "s": 1}}}], ["p.f=none", "p.f"]),
        ([{"p": None}, {"p": {"k": 1}}, {"p": {"k": 2}}], ["p=none", "p.k=1", "p.k=2"]),
        ([{"prompts": {"x": [1.0, 0.9]}}, {"prompts": {"x": []}}], ["x=1+0.9", "x="]),
        ([{"a": 1}], [""]),
        ([{"prompts": {"encoder": {"length": n}, "decoder": {"length": n}}} for n in (4, 8)], ["length=4", "length=8"]),
        (
            [{"prompts": {"encoder": {"length": n}, "decoder": {"length": 4}}} for n in (4, 8)],
            ["encoder.length=4", "encoder.length=8"],
        ),
        ([{"a": 1}, {"a": 1, "b": 2}], ["b=none", "b=2"]),
    ],
)
def test_rows_are_called_by_what_differs(values: list[dict[str, Any]], names: list[str]) -> None:
    assert difference_names(values) == names


def texts(content: str) -> set[str | None]:
    return {node.text for node in ElementTree.fromstring(content).iter() if node.tag.endswith("}text")}


def test_the_files_hold_the_table_and_a_plot_of_what_varies(tmp_path: Path) -> None:
    folders = [
        scored(made_run(tmp_path / f"{depth}{length}", encoder={"length": length, "depth": depth}), 9 - length // 4)
        for depth in ("deep", "input")
        for length in (4, 8)
    ]
    found = compare_runs(folders)
    written = {path.name: path.read_text() for path in write_comparison(found, tmp_path / "out")}
    assert set(written) == {"comparison.md", "comparison.json", "rows.svg", "length.svg", "depth.svg", "curve.svg"}
    for name, content in written.items():
        if name.endswith(".svg"):
            root = ElementTree.fromstring(content)
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert "http" not in re.sub(r"http://www\.w3\.org/(2000/svg|1999/xlink)", "", content)
    # A line a depth, with a point a length each.
    drawn = {name: figure.axes[0] for name, figure in plots(found).items()}
    lines = {line.get_label(): list(line.get_ydata()) for line in drawn["length.svg"].lines}
    assert set(lines) == {"encoder.depth=deep", "encoder.depth=input"}
    assert lines["encoder.depth=deep"][1] == pytest.approx(0.75)
    assert {"encoder.depth=deep", "encoder.depth=input"} <= texts(written["length.svg"])
    assert "deep and" not in written["depth.svg"]
    assert len(drawn["curve.svg"].lines) == 4
    only = {path.name for path in write_comparison(compare_runs(folders[:1]), tmp_path / "only")}
    assert only == {"comparison.md", "comparison.json", "rows.svg", "curve.svg"}


def test_the_command_prints_markdown_or_json(tmp_path: Path) -> None:
    runs = [str(scored(made_run(tmp_path / f"r{length}", **deep(length)), length)) for length in (4, 8)]
    shown = CliRunner().invoke(app, ["compare", *runs])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("| runs | WER % | difference |")
    out = ["--out", str(tmp_path / "out"), "--test", "dev", "--json"]
    plain = CliRunner().invoke(app, ["compare", *runs, *out])
    assert json.loads(plain.stdout)["rows"][1]["tests"]["dev"]["difference"]["significant"] is True
    missing = CliRunner().invoke(app, ["compare", *runs, "--test", "nowhere"])
    assert isinstance(missing.exception, ConfigError)
    assert "known: dev" in str(missing.exception)
    nothing = CliRunner().invoke(app, ["compare", str(tmp_path)])
    assert "no training run" in str(nothing.exception)
