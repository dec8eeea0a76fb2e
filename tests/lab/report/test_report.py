"""A whole report: all stages, what is kept, what is computed again, what is left out and why."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_report import QUICK, World, make_world
from tiny import tiny_backbone
from tiny_recognizer import new_prompts
from voices import PitchEmbedder, voice

from softspoken.audio import write_wav
from softspoken.decoding import DecodingOptions
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.stage_cache import StageCache
from softspoken.prompts import PromptConfig, SpeakerPrompt, StackPrompt
from softspoken.prompts.checkpoint import load_prompts, save_prompts
from softspoken_lab.analysis.ctc_subject import CTCSubject
from softspoken_lab.analysis.load import read_test_set
from softspoken_lab.analysis.removal import leave_each_out
from softspoken_lab.report import build as module
from softspoken_lab.report.build import Progress, Report, StageTime, make_report
from softspoken_lab.report.plan import NOT_GIVEN, STAGES, ReportInputs
from softspoken_lab.report.remembered import RememberingTarget
from softspoken_lab.report.stages import digest_of_folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def whole(world: World) -> Report:
    return make_report(world.inputs(), StageCache(world.folder / "cache", print))


class Steps(Progress):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int, int]] = []
        self.finished: list[StageTime] = []
        self.shares: list[float] = []

    def begin(self, stage: str, number: int, of: int) -> None:
        self.begun.append((stage, number, of))

    def within(self, done: int, total: int) -> None:
        self.shares.append(done / total)

    def finish(self, time: StageTime) -> None:
        self.finished.append(time)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(set, variants) of everything that is recognised from here on."""
    calls: list[tuple[str, int]] = []
    original = CTCSubject.score

    def counted(self: CTCSubject, test_set: Any, variants: Any, report: Any = None) -> Any:
        calls.append((test_set.name, len(variants)))
        return original(self, test_set, variants, report)

    monkeypatch.setattr(CTCSubject, "score", counted)
    return calls


def again(inputs: ReportInputs, folder: Path, notes: list[str] | None = None) -> tuple[Report, list[str]]:
    """The report, and the stages that were computed for it."""
    steps = Steps()
    made = make_report(inputs, StageCache(folder, notes.append if notes is not None else print), steps)
    return made, [time.stage for time in steps.finished if not time.kept]


def test_every_stage_is_made(whole: Report) -> None:
    assert set(whole.results) == set(STAGES) - {"frozen"}
    assert whole.left_out == {}
    assert [time.stage for time in whole.times] == list(STAGES)
    assert whole.replacement is not None
    assert whole.replacement.frozen is not None
    assert whole.removal is not None
    assert whole.removal.none_against_frozen is not None
    assert whole.shift is not None
    assert len(whole.shift.shifted) == 2
    assert whole.probe is not None
    assert {row.name for row in whole.probe.conditions} == {"full", "content", "noise", "none"}


def test_it_goes_to_json_and_back(whole: Report) -> None:
    assert Report.model_validate_json(whole.model_dump_json()) == whole


def test_numbers_are_those_of_the_analyses_themselves(whole: Report, world: World) -> None:
    inputs = world.inputs()
    plain = CTCSubject(inputs.subject.recognizer, inputs.subject.backbone, name="m4")
    assert whole.leave_one_out == leave_each_out(plain, inputs.sets)
    assert whole.removal is not None
    assert whole.subsets is not None
    assert whole.leave_one_out is not None
    assert whole.removal.full.wer == whole.subsets.conditions[0].wer == whole.leave_one_out.full.wer
    assert whole.removal.none.wer == whole.subsets.conditions[-1].wer


def test_nothing_is_computed_twice(whole: Report, world: World, scored: list[tuple[str, int]]) -> None:
    made, computed = again(world.inputs(), world.folder / "cache")
    assert computed == []
    assert scored == []
    assert made.results == whole.results


def test_the_same_prompts_on_the_same_utterances_are_recognised_once(
    world: World, tmp_path: Path, scored: list[tuple[str, int]]
) -> None:
    make_report(world.inputs(), StageCache(tmp_path, print))
    on_clean = [count for name, count in scored if name == "clean"]
    # All m + 1 = 5 once, then random prompts, 2 of each kind; none of the later tables begins with all prompts again.
    assert on_clean[:2] == [5, 4]
    assert sum(on_clean) <= 5 + 4 + len(("content", "noise", "none"))


@pytest.mark.parametrize("fails", ["replace_randomly", "remove_all", "probe_noise", "compare_shifts"])
def test_an_interrupted_report_goes_on_where_it_was(
    world: World, whole: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: Any, **__: Any) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(module, fails, interrupt)
        steps = Steps()
        with pytest.raises(Interrupted):
            make_report(world.inputs(), StageCache(tmp_path, print), steps)
    before = [time.stage for time in steps.finished]
    made, computed = again(world.inputs(), tmp_path)
    assert before
    assert computed
    assert [*before, *computed] == list(STAGES)
    assert made.results == whole.results


def test_an_interrupted_stage_keeps_the_sets_that_it_finished(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: list[tuple[str, int]]
) -> None:
    original, inputs = CTCSubject.write, world.inputs()

    def stops_at_noisy(self: CTCSubject, test_set: Any, *rest: Any) -> Any:
        if test_set.name == "noisy":
            raise KeyboardInterrupt
        return original(self, test_set, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(CTCSubject, "write", stops_at_noisy)
        with pytest.raises(KeyboardInterrupt):
            make_report(inputs, StageCache(tmp_path, print))
    scored.clear()
    asked = QUICK.model_copy(update={"stages": ("leave-one-out",)})
    make_report(world.inputs(options=asked), StageCache(tmp_path, print))
    assert scored == [("noisy", 5)]


def test_changed_prompts_are_analysed_again(world: World, whole: Report) -> None:
    _, computed = again(world.inputs(digest="another"), world.folder / "cache")
    assert computed == list(STAGES)


def test_a_changed_set_is_recognised_again(world: World, whole: Report, tmp_path: Path) -> None:
    longer = World(world.folder).spoken("noisy", (0.8, 1.0, 0.6))
    inputs = world.inputs()
    made, computed = again(replace(inputs, sets=(inputs.sets[0], longer)), world.folder / "cache")
    assert set(computed) == {"leave-one-out", "frozen", "replacement", "roles", "removal", "subsets"}
    assert made.clusters == whole.clusters


def test_another_baseline_changes_only_what_shows_it(world: World, whole: Report) -> None:
    _, computed = again(world.inputs(frozen=None, frozen_digest=None), world.folder / "cache")
    assert set(computed) == {"replacement", "removal", "shift"}


def test_damaged_files_are_computed_again(world: World, whole: Report) -> None:
    cache = world.folder / "cache"
    for file in (*cache.glob("removal-*.json"), *cache.glob("errors-*.json")):
        file.write_text(file.read_text()[:-30])
    notes: list[str] = []
    made, computed = again(world.inputs(), cache, notes)
    assert computed == ["removal"]
    assert made.results == whole.results
    assert any("removal" in note for note in notes)


def test_what_was_not_given_is_left_out_and_says_how_to_add_it(world: World, tmp_path: Path) -> None:
    bare = world.inputs(frozen=None, frozen_digest=None, noise=None, shift_noise=None, shift_sets=())
    made, _ = again(bare, tmp_path)
    assert made.left_out == NOT_GIVEN
    assert made.probe is None
    assert made.shift is None
    assert made.replacement is not None
    assert made.replacement.frozen is None


def test_only_the_stages_asked_for_and_what_they_need(world: World, tmp_path: Path) -> None:
    def stages(*asked: str) -> list[str]:
        chosen = world.inputs(options=QUICK.model_copy(update={"stages": asked}))
        return [time.stage for time in make_report(chosen, StageCache(tmp_path, print)).times]

    assert stages("clusters") == ["clusters"]
    assert stages("removal") == ["frozen", "removal"]
    assert stages("subsets") == ["clusters", "leave-one-out", "roles", "subsets"]


def test_roles_by_clusters_are_used_where_asked(world: World, whole: Report, tmp_path: Path) -> None:
    chosen = world.inputs(options=QUICK.model_copy(update={"roles_by": "clusters", "stages": ("subsets",)}))
    made, _ = again(chosen, tmp_path)
    assert made.subsets is not None
    assert made.roles is not None
    assert made.subsets.split == made.roles.clusters


@pytest.mark.parametrize(
    ("length", "missing"),
    [(1, {"clusters", "leave-one-out", "roles", "subsets", "shift"}), (2, {"clusters"})],
)
def test_few_prompts_leave_out_what_needs_more(tmp_path: Path, length: int, missing: set[str]) -> None:
    made, _ = again(make_world(tmp_path, length).inputs(), tmp_path / "cache")
    assert set(made.left_out) == missing
    assert all("needs more than" in reason for reason in made.left_out.values())
    assert set(made.results) == set(STAGES) - missing - {"frozen"}


def test_deep_prompts_too(tmp_path: Path) -> None:
    made, _ = again(make_world(tmp_path, 4, "deep").inputs(), tmp_path / "cache")
    assert made.left_out == {}
    assert made.clusters is not None
    assert [space.name for space in made.clusters.spaces] == ["all layers", "layer 1", "layer 2"]


def test_progress_counts_stages_and_what_is_within(world: World, tmp_path: Path) -> None:
    steps = Steps()
    make_report(world.inputs(), StageCache(tmp_path, print), steps)
    assert [entry[1:] for entry in steps.begun] == [(number, len(STAGES)) for number in range(1, len(STAGES) + 1)]
    assert all(0 <= share <= 1 for share in steps.shares)
    assert 1.0 in steps.shares


def test_what_cannot_be_analysed_is_refused_before_anything_runs(world: World, tmp_path: Path) -> None:
    inputs = world.inputs()
    wrong: list[tuple[ReportInputs, type[Exception], str]] = [
        (replace(inputs, subject=world.subject("frozen")), ConfigError, "frozen baseline"),
        (replace(inputs, frozen=world.subject("m4")), ConfigError, "--frozen"),
        (replace(inputs, clean="quiet"), ConfigError, "--clean"),
        (replace(inputs, sets=()), DataError, "no test set"),
        (replace(inputs, sets=(inputs.sets[0], inputs.sets[0])), DataError, "two sets"),
    ]
    for changed, error, words in wrong:
        with pytest.raises(error, match=words) as caught:
            make_report(changed, StageCache(tmp_path, print))
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_without_memory_a_subject_is_an_ordinary_one(world: World) -> None:
    subject = world.subject()
    plain = CTCSubject(subject.recognizer, subject.backbone)
    clean = world.inputs().sets[0]
    assert subject.score(clean, [subject.vectors, None]) == plain.score(clean, [plain.vectors, None])


def voice_inputs(folder: Path) -> ReportInputs:
    """Prompts that follow a voice, three slots in each layer, and two mixtures."""
    backbone, embedder = tiny_backbone(5), PitchEmbedder()
    config = PromptConfig(
        encoder=StackPrompt(length=3), decoder=None, speaker=SpeakerPrompt(dimension=embedder.dimension)
    )
    save_prompts(new_prompts(backbone, config), folder / "prompt", backbone=backbone, embedder=embedder.name)
    rows = []
    for number in range(2):
        write_wav(folder / f"mix{number}.wav", voice(2.0, 300.0, number) + voice(2.0, 900.0, number))
        write_wav(folder / f"voice{number}.wav", voice(3.0, 300.0, 10 + number))
        rows.append({"audio": f"mix{number}.wav", "enrolment": f"voice{number}.wav", "text": "one two three"})
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    quick = DecodingOptions(start="any", temperatures=(0.0,), max_tokens=8)
    subject = RememberingTarget(load_prompts(folder / "prompt"), backbone, embedder, name="voice", options=quick)
    mixed = read_test_set("mixed", folder / "items.jsonl")
    return ReportInputs(
        subject=subject, digest=digest_of_folder(folder / "prompt"), sets=(mixed,), clean="clean", options=QUICK
    )


def test_prompts_that_follow_a_voice(tmp_path: Path) -> None:
    inputs = voice_inputs(tmp_path)
    made, computed = again(inputs, tmp_path / "cache")
    assert computed == ["clusters", "leave-one-out", "replacement", "removal"]
    assert made.left_out == {}
    assert made.clusters is not None
    assert [space.name for space in made.clusters.spaces] == ["all layers", "layer 1", "layer 2"]
    assert made.leave_one_out is not None
    assert len(made.leave_one_out.left_out) == 3
    assert again(voice_inputs(tmp_path), tmp_path / "cache") == (
        made.model_copy(update={"times": tuple(one.model_copy(update={"kept": True}) for one in made.times)}),
        [],
    )


def test_options_for_noise_say_nothing_of_a_voice(world: World, tmp_path: Path) -> None:
    noise = world.inputs()
    wrong = replace(voice_inputs(tmp_path), noise=noise.noise, shift_noise=noise.shift_noise)
    with pytest.raises(ConfigError, match=r"--noise, --shift-noise is for") as caught:
        make_report(wrong, StageCache(tmp_path / "cache", print))
    assert "\n" not in str(caught.value)
