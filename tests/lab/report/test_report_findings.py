"""Sentences follow from intervals: nothing is claimed where zero is inside."""

import re
from collections.abc import Sequence

import numpy as np
import pytest

from softspoken_lab.analysis.results import (
    ClusterResult,
    ClusterSpace,
    Condition,
    Estimate,
    LeaveOneOutResult,
    LeftOut,
    ProbeResult,
    ProbeRow,
    RandomPrompts,
    RemovalResult,
    ReplacementResult,
    RoleSplit,
    ShiftInfo,
    ShiftResult,
    SubjectInfo,
    SubsetsResult,
)
from softspoken_lab.analysis.tables import Counts
from softspoken_lab.report import findings
from softspoken_lab.report.sentences import Finding, about, judge, negated

SUBJECT = SubjectInfo(name="made", kind="ctc", backbone="tiny.en", prompts=20, depth="input")
WORSE = Estimate(value=0.012, low=0.004, high=0.02)
BETTER = Estimate(value=-0.03, low=-0.05, high=-0.01)
NOTHING = Estimate(value=0.05, low=-0.001, high=0.11)
TOUCHES = Estimate(value=0.02, low=0.0, high=0.04)
WER = Estimate(value=0.2, low=0.1, high=0.3)
CLAIMS = re.compile(r"\b(raises?|lowers?|better|worse|lost|won)\b")


def row(name: str, difference: dict[str, Estimate] | None = None, prompts: Sequence[int] = ()) -> Condition:
    sets = difference if difference is not None else {"clean": WER}
    return Condition(name=name, prompts=tuple(prompts), wer=dict.fromkeys(sets, WER), difference=difference)


def random_row(difference: dict[str, Estimate]) -> RandomPrompts:
    sets = dict.fromkeys(difference, WER)
    return RandomPrompts(
        name="random",
        wer=sets,
        difference=difference,
        seeds=(0,),
        by_seed=dict.fromkeys(difference, (0.2,)),
        spread=dict.fromkeys(difference, 0.0),
    )


@pytest.mark.parametrize("inside", [NOTHING, TOUCHES])
def test_an_interval_with_zero_inside_or_at_its_end_shows_no_difference(inside: Estimate) -> None:
    said = about("It", {"clean": inside})
    assert said.startswith("It: no difference shown on clean (")
    assert not CLAIMS.search(said)


def test_differences_are_told_by_set_with_their_intervals() -> None:
    said = about("It", {"clean": WORSE, "other": NOTHING, "noisy": BETTER})
    assert said == (
        "It raises the word error rate on clean by 1.20 points (0.40 to 2.00), and lowers it on noisy by 3.00 points "
        "(1.00 to 5.00); no difference shown on other (+5.00 points, −0.10 to +11.00)."
    )
    assert about("They", {"a": BETTER, "b": BETTER}, plural=True).startswith("They lower the word error rate on a by")


def test_the_other_way_round_is_the_opposite() -> None:
    turned = negated({"clean": WORSE})["clean"]
    assert (turned.value, turned.low, turned.high) == (-0.012, -0.02, -0.004)


@pytest.mark.parametrize(
    ("claims", "verdict"),
    [
        ([(WORSE, "up"), (BETTER, "down")], "agrees"),
        ([(WORSE, "up"), (NOTHING, "up")], "partly"),
        ([(WORSE, "up"), (BETTER, "up")], "partly"),
        ([(WORSE, "down"), (NOTHING, "down")], "differs"),
        ([(NOTHING, "up"), (TOUCHES, "down")], "unclear"),
        ([(NOTHING, "same")], "agrees"),
        ([(WORSE, "same")], "differs"),
        ([], "unclear"),
    ],
)
def test_verdicts(claims: list, verdict: str) -> None:
    assert judge(claims) == verdict


def test_the_papers_table_1_agrees_and_its_opposite_differs() -> None:
    def found(frozen: Estimate, random: Estimate) -> Finding:
        return findings.on_replacement(
            ReplacementResult(
                subject=SUBJECT,
                frozen=row("frozen", {"clean": frozen}),
                full=row("full"),
                random=(random_row({"clean": random}),),
            )
        )

    assert found(WORSE, WORSE).verdict == "agrees"
    assert "prompted model lowers the word error rate on clean by 1.20" in found(WORSE, WORSE).sentences[0]
    assert found(BETTER, BETTER).verdict == "differs"
    nothing = found(NOTHING, NOTHING)
    assert nothing.words == "no difference shown"
    assert not any(CLAIMS.search(sentence) for sentence in nothing.sentences)


def test_removal_against_both() -> None:
    result = RemovalResult(
        subject=SUBJECT,
        full=row("full"),
        none=row("none", {"clean": NOTHING}),
        none_against_frozen={"clean": BETTER},
    )
    found = findings.on_removal(result)
    assert found.verdict == "partly"
    assert "no difference shown" in found.sentences[0]
    assert "lowers the word error rate on clean by 3.00 points" in found.sentences[1]


def subsets(content: Estimate, noise: Estimate) -> Finding:
    split = RoleSplit(by="curve", content=(1, 2), noise=(3,))
    rows = (row("full"), row("content", {"clean": content}, (1, 2)), row("noise", {"clean": noise}, (3,)))
    return findings.on_subsets(SubsetsResult(subject=SUBJECT, split=split, conditions=rows))


def test_an_unchanged_content_set_alone_shows_nothing() -> None:
    assert subsets(NOTHING, WORSE).verdict == "agrees"
    assert subsets(NOTHING, NOTHING).verdict == "unclear"
    assert subsets(WORSE, NOTHING).verdict == "differs"


def curve(differences: Sequence[Estimate]) -> Finding:
    left_out = tuple(
        LeftOut(number=number, wer={"clean": WER}, difference={"clean": one})
        for number, one in enumerate(differences, start=1)
    )
    counts = {"clean": Counts(sources=("a",), words=(1,), errors=((0,),))}
    return findings.on_curve(LeaveOneOutResult(subject=SUBJECT, full=row("full"), left_out=left_out, counts=counts))


def test_single_prompts_are_named_and_chance_is_reckoned_with() -> None:
    nothing = curve([NOTHING] * 20)
    assert (nothing.verdict, "no difference is shown for any single prompt" in nothing.sentences[0]) == (
        "unclear",
        True,
    )
    few = curve([WORSE] * 2 + [NOTHING] * 18)
    assert few.verdict == "unclear"
    assert "words are lost without 1 and 2 (" in few.sentences[0]
    assert curve([WORSE] * 3 + [NOTHING] * 17).verdict == "agrees"
    assert curve([BETTER] * 3 + [NOTHING] * 17).verdict == "differs"


def test_chance_limit_is_what_chance_gives() -> None:
    drawn = np.random.default_rng(0).binomial(20, 0.025, size=20_000)
    limit = findings.chance_limit(20)
    assert (drawn <= limit).mean() >= 0.95 > (drawn <= limit - 1).mean()
    assert findings.chance_limit(1) <= 1


def probe(full: Estimate | None, content: float = 0.5, noise: float = 0.7, width: float = 0.05) -> ProbeResult:
    def probed(name: str, value: float, difference: Estimate | None) -> ProbeRow:
        accuracy = Estimate(value=value, low=value - width, high=value + width)
        return ProbeRow(name=name, folds=(value,), accuracy=accuracy, difference=difference, confusion=((1, 0), (0, 1)))

    rows = [probed("content", content, NOTHING), probed("noise", noise, WORSE), probed("none", 0.5, None)]
    if full is not None:
        rows.append(probed("full", 0.6, full))
    return ProbeResult(
        subject=SUBJECT,
        types=("Car", "Cafe"),
        left_out={},
        fold_count=1,
        examples=2,
        noise_recordings=2,
        speech_recordings=2,
        snr_db=(0.0,),
        conditions=tuple(rows),
        chance=0.5,
        permuted=(0.5,),
        seed=0,
    )


def test_the_probe_with_and_without_prompts() -> None:
    assert findings.on_probe_prompts(probe(WORSE)).verdict == "agrees"
    assert "told better" in findings.on_probe_prompts(probe(WORSE)).sentences[0]
    assert findings.on_probe_prompts(probe(BETTER)).verdict == "differs"
    nothing = findings.on_probe_prompts(probe(NOTHING))
    assert (nothing.verdict, "no difference shown" in nothing.sentences[0]) == ("unclear", True)


def test_the_probe_of_the_two_sets() -> None:
    assert findings.on_probe_sets(probe(None)).verdict == "agrees"
    assert findings.on_probe_sets(probe(None, content=0.7, noise=0.5)).verdict == "differs"
    overlapping = findings.on_probe_sets(probe(None, width=0.2))
    assert overlapping.verdict == "unclear"
    assert "no difference is shown" in overlapping.sentences[-1]


@pytest.mark.parametrize(("k", "p_value", "verdict"), [(2, 0.01, "agrees"), (5, 0.01, "differs"), (2, 0.3, "unclear")])
def test_clusters(k: int, p_value: float, verdict: str) -> None:
    space = ClusterSpace(
        name="input",
        silhouette={2: 0.2, 5: 0.1},
        k=k,
        labels=tuple(index % k for index in range(6)),
        points=((0.0, 0.0),) * 6,
        perplexity=2.0,
        p_value=p_value,
        norms=(1.0,) * 6,
    )
    found = findings.on_clusters(ClusterResult(subject=SUBJECT, spaces=(space,), seed=0))
    assert found.verdict == verdict
    assert ("no clusters are shown" in found.sentences[-1]) == (verdict == "unclear")


def test_shift_is_judged_by_the_papers_way_alone() -> None:
    def info(scale: str) -> ShiftInfo:
        return ShiftInfo.model_validate(
            {
                "noise_prompts": (1,),
                "representation": "output",
                "scale": scale,
                "files": (),
                "v_rms": (1.0,),
                "v_mean": (0.0,),
                "norm_ratio": 1.0,
            }
        )

    rows = (row("shifted", {"office": NOTHING}), row("shifted, unit", {"office": BETTER}))
    result = ShiftResult(
        subject=SUBJECT,
        full=row("full"),
        shifted=rows,
        shifts=(info("paper"), info("unit")),
        split=RoleSplit(by="curve", content=(2,), noise=(1,)),
    )
    found = findings.on_shift(result)
    assert found.verdict == "unclear"
    assert "no difference shown" in found.sentences[0]
    assert "lowers" in found.sentences[1]
