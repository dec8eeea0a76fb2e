"""The page: every number is on it, nothing is loaded from outside, its CSV says the same."""

import base64
import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_report import World, make_world
from matplotlib.figure import Figure

from softspoken.errors import ConfigError
from softspoken.evaluation.stage_cache import StageCache
from softspoken_lab.analysis.results import Estimate, Row
from softspoken_lab.analysis.subject import TestSet
from softspoken_lab.report.build import Report, make_report
from softspoken_lab.report.drawing import svg
from softspoken_lab.report.numbers import interval, percent, plain, points, points_interval
from softspoken_lab.report.page import PAPER, Heading, render_page, write_csv, write_page
from softspoken_lab.report.page_sections import sections
from softspoken_lab.report.page_tables import csv_text, raw
from softspoken_lab.report.paper import TABLES
from softspoken_lab.report.plots import left_out_curves, prompt_map

HEADING = Heading(
    facts=[("Steps", "7"), ("Data", "<b>bold</b> & more")],
    sources={"clean": "data/clean.jsonl", "there": "data/there"},
    command="softspoken-lab analyse report m4 --out 'a b.html'",
    created="2026-01-02 03:04 UTC",
    version="9.8.7",
    notes=["'cache/x.json' is damaged"],
)
VOID = {"meta", "link", "br", "img", "input"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def report(world: World) -> Report:
    return make_report(world.inputs(), StageCache(world.folder / "cache", print))


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render_page(report, HEADING)


class Reader(HTMLParser):
    """Checks that tags are nested, and collects attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value if value is not None else "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value if value is not None else "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def estimates(value: object) -> list[Estimate]:
    """All that are anywhere in a result."""
    if isinstance(value, Estimate):
        return [value]
    if isinstance(value, dict):
        return [one for inner in value.values() for one in estimates(inner)]
    if isinstance(value, tuple):
        return [one for inner in value for one in estimates(inner)]
    if hasattr(type(value), "model_fields"):
        return [one for name in type(value).model_fields for one in estimates(getattr(value, name))]
    return []


def test_the_page_is_whole_and_nested(page: str) -> None:
    reader = read(page)
    assert (reader.wrong, reader.open) == ([], [])
    assert "None" not in "".join(reader.text)
    assert "nan" not in "".join(reader.text).split()
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    linked = {value[1:] for _, name, value in reader.attributes if name == "href" and value.startswith("#")}
    assert linked <= set(ids)


def test_nothing_is_loaded_from_outside(page: str) -> None:
    reader = read(page)
    loading = [
        (tag, value)
        for tag, name, value in reader.attributes
        if name in ("src", "href", "srcset", "data", "action", "xlink:href", "poster", "background")
    ]
    outside = [(tag, value) for tag, value in loading if not value.startswith(("#", "data:"))]
    # The citation may be followed, which loads nothing by itself.
    assert outside == [("a", PAPER)]
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(|<script[^>]+src", page)
    assert re.findall(r"https?://[^\s\"<]+", page) == [PAPER]
    assert "default-src 'none'" in page


def test_every_estimate_stands_there_with_its_interval(report: Report, page: str) -> None:
    assert report.probe is not None
    accuracies = [row.accuracy for row in report.probe.conditions]
    for one in accuracies:
        assert f"{percent(one.value, 1)} %" in page
        assert interval(one, 1) in page
    found = [one for stage, result in report.results.items() if stage != "probe" for one in estimates(result)]
    assert len(found) > 50
    for one in found:
        assert percent(one.value) in page or points(one.value) in page
        assert interval(one) in page or points_interval(one) in page


def test_every_number_of_every_result_stands_in_its_table(report: Report, page: str) -> None:
    made = sections(report)
    assert len(made) == 9
    for section in made:
        assert section.rows
        body = page[page.index(f'<section id="{section.id}"') :]
        body = body[: body.index("</section>")]
        for row in section.rows:
            assert "<tr>" + "".join(f"<td>{raw(value)}</td>" for value in row.values()) + "</tr>" in body


def test_what_is_no_estimate_stands_there_too(report: Report, page: str) -> None:
    assert report.replacement is not None
    assert report.clusters is not None
    assert report.roles is not None
    assert report.shift is not None
    assert report.probe is not None
    for random in report.replacement.random:
        for rates in random.by_seed.values():
            assert all(f"{percent(rate)} %" in page for rate in rates)
    space = report.clusters.whole
    assert all(plain(value, 3) in page for value in space.silhouette.values())
    assert all(f"length {plain(norm)}" in page for norm in space.norms)
    assert report.roles.agreement is not None
    assert plain(report.roles.agreement.adjusted_rand) in page
    for made in report.shift.shifts:
        assert all(file.sha256 in page for file in made.files)
        assert f"{plain(made.norm_ratio)} times as long" in page
    for row in report.probe.conditions:
        for counts in row.confusion:
            assert "".join(f">{count}</td>" for count in counts[:1]) in page


def parsed(text: str) -> list[Row]:
    """CSV read back; numbers where there are some."""

    def cell(value: str) -> str | float | None:
        try:
            return float(value) if value else None
        except ValueError:
            return value

    return [{key: cell(value) for key, value in row.items()} for row in csv.DictReader(io.StringIO(text))]


def same(rows: tuple[Row, ...]) -> list[Row]:
    return [{key: float(value) if isinstance(value, int) else value for key, value in row.items()} for row in rows]


def test_the_csv_in_the_page_is_what_was_found(report: Report, page: str) -> None:
    links = re.findall(r'download="([\w-]+)\.csv" href="data:text/csv;charset=utf-8;base64,([\w+/=]+)"', page)
    contents = {name: base64.b64decode(content).decode() for name, content in links}
    made = {section.id: section.rows for section in sections(report)}
    assert contents.keys() == made.keys()
    for name, content in contents.items():
        assert parsed(content) == same(made[name])


def test_csv_files_are_the_same(report: Report, tmp_path: Path) -> None:
    written = write_csv(report, tmp_path / "new")
    assert {path.stem for path in written} == {section.id for section in sections(report)}
    for section in sections(report):
        assert (tmp_path / "new" / f"{section.id}.csv").read_text() == csv_text(section.rows)
    assert not [path for path in (tmp_path / "new").iterdir() if path.suffix != ".csv"]


def images(page: str) -> list[tuple[str, ElementTree.Element]]:
    """What each figure is said to show, and the figure."""
    found = re.findall(r'<img class="plot" alt="([^"]+)" src="data:image/svg\+xml;base64,([\w+/=]+)">', page)
    return [(said, ElementTree.fromstring(base64.b64decode(content))) for said, content in found]


def texts(figure: Figure) -> list[str | None]:
    return [node.text for node in ElementTree.fromstring(svg(figure)).iter() if node.tag.endswith("}text")]


def test_drawings_are_sound_and_say_what_they_show(page: str) -> None:
    drawings = images(page)
    assert len(drawings) >= 4
    for said, root in drawings:
        assert len(said) > 40
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        assert min(width, height) > 100
        assert not [node for node in root.iter() if node.tag.endswith(("}script", "}image"))]
        assert any(node.tag.endswith("}text") for node in root.iter())


def test_the_same_report_gives_the_same_page(report: Report, page: str) -> None:
    assert render_page(report, HEADING) == page


def test_each_prompt_is_in_the_map_and_in_every_curve(report: Report) -> None:
    assert report.clusters is not None
    assert report.leave_one_out is not None
    numbers = [str(number) for number in range(1, report.subject.prompts + 1)]
    drawn_map = prompt_map(report.clusters.whole)
    assert [word.get_text() for word in drawn_map.axes[0].texts] == numbers
    assert set(numbers) <= set(texts(drawn_map))
    curves = left_out_curves(report.leave_one_out, None)
    assert len(curves.axes) == 2
    for axes, name in zip(curves.axes, report.leave_one_out.full.wer, strict=True):
        assert [label.get_text() for label in axes.get_xticklabels()] == numbers
        points = {float(line.get_xdata()[0]): line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 1}
        assert points == {entry.number: entry.wer[name].value for entry in report.leave_one_out.left_out}


def test_noise_prompts_stand_on_their_ground(report: Report) -> None:
    assert report.roles is not None
    assert report.leave_one_out is not None
    curve = report.roles.curve
    for axes in left_out_curves(report.leave_one_out, curve).axes:
        assert sorted(patch.get_center()[0] for patch in axes.patches) == sorted(curve.noise)
        marks = {int(line.get_xdata()[0]): line.get_marker() for line in axes.lines if len(line.get_xdata()) == 1}
        assert {number for number, mark in marks.items() if mark == "s"} == set(curve.noise)
        assert marks.keys() - set(curve.noise) == set(curve.content)


def test_the_papers_numbers_stand_beside(page: str) -> None:
    for table in TABLES:
        assert table.title in page
        for _, values in table.rows:
            assert all(f"<td>{value:.2f}</td>" in page for value in values)


def test_the_top_says_what_was_analysed_and_how(report: Report, page: str) -> None:
    assert report.subject.digest is not None
    for words in (
        report.subject.digest,
        "2026-01-02 03:04 UTC",
        "9.8.7",
        "data/clean.jsonl",
        "&#x27;cache/x.json&#x27;",
    ):
        assert words in page
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; more" in page
    assert "--out &#x27;a b.html&#x27;" in page


def test_names_from_outside_are_text_and_nothing_else(world: World, tmp_path: Path) -> None:
    inputs = world.inputs()
    evil = "<script>alert(1)</script>\"'&"
    named = replace(inputs, sets=(TestSet(evil, inputs.sets[0].items), inputs.sets[1]), clean=evil)
    page = render_page(make_report(named, StageCache(tmp_path, print)), HEADING)
    assert "alert(1)</script>" not in page.replace("&lt;script&gt;alert(1)&lt;/script&gt;", "")
    reader = read(page)
    assert (reader.wrong, reader.open) == ([], [])


def test_what_was_left_out_says_what_adds_it(world: World, tmp_path: Path) -> None:
    bare = world.inputs(frozen=None, frozen_digest=None, noise=None, shift_noise=None, shift_sets=())
    page = render_page(make_report(bare, StageCache(tmp_path, print)), HEADING)
    for option in ("--frozen RECOGNIZER", "--noise MANIFEST|FOLDER", "--shift-noise MANIFEST|FOLDER", "--shift-data"):
        assert option in page
    assert page.count('class="card empty"') == 3
    assert (read(page).wrong, read(page).open) == ([], [])


def test_a_page_of_one_table(world: World, tmp_path: Path) -> None:
    chosen = world.inputs(options=world.inputs().options.model_copy(update={"stages": ("removal",)}))
    report = make_report(chosen, StageCache(tmp_path, print))
    assert [section.id for section in sections(report)] == ["table-3"]
    assert "figure-1" not in render_page(report, HEADING)


def test_prompts_that_follow_a_voice_get_no_verdict_of_the_noise_paper(report: Report) -> None:
    voice = report.model_copy(
        update={
            "subject": report.subject.model_copy(update={"kind": "target-speaker"}),
            **dict.fromkeys(("roles", "subsets", "probe", "shift")),
            "left_out": {},
        }
    )
    made = sections(voice)
    assert [section.id for section in made] == ["table-1", "figure-2", "figure-3", "table-3"]
    assert all(section.finding is not None and section.finding.verdict is None for section in made)
    page = render_page(voice, HEADING)
    assert not any(table.title in page for table in TABLES)


def test_a_page_is_written_whole_or_not_at_all(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "page.html"
    write_page(report, HEADING, out)
    assert out.read_text(encoding="utf-8") == render_page(report, HEADING)
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write") as caught:
        write_page(report, HEADING, tmp_path / "file" / "page.html")
    assert "\n" not in str(caught.value)


def test_the_page_is_small(page: str) -> None:
    assert len(page) < 1_000_000


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0664, "+6.64"), (-0.002, "−0.20"), (0.0, "0.00"), (-1e-9, "0.00"), (1e-9, "0.00")]
)
def test_differences_are_written_with_their_sign(value: float, shown: str) -> None:
    assert points(value) == shown
