"""Prompts replaced, left out and removed: many variants in one batch are each what they are alone."""

from pathlib import Path

import pytest
import torch
from tiny_recognizer import ENCODERS, encoder_named
from tiny_subjects import BACKBONE, tiny_subject, write_set

from softspoken.audio import load_audio
from softspoken.errors import ConfigError, DataError, PromptMismatch
from softspoken.prompts.config import Depth
from softspoken_lab.analysis.ctc_subject import BatchOptions, CTCSubject
from softspoken_lab.analysis.removal import keep_subsets, leave_each_out, remove_all
from softspoken_lab.analysis.replacement import ReplacementOptions, random_vectors, replace_randomly
from softspoken_lab.analysis.results import Condition, RoleSplit
from softspoken_lab.analysis.subject import TestSet, check_sets, kept, score_all, score_frozen
from softspoken_lab.prompts.variants import leave_one_out, with_vectors

TINY_BATCH = BatchOptions(frames=300, utterances=2)


@pytest.fixture
def subject(tmp_path: Path) -> CTCSubject:
    return tiny_subject(tmp_path / "recognizer")


@pytest.fixture
def clean(tmp_path: Path) -> TestSet:
    return write_set(tmp_path / "clean")


def features_of(subject: CTCSubject, test_set: TestSet) -> object:
    return subject.backbone.features([load_audio(item.path) for item in test_set.items])  # type: ignore[union-attr]


@pytest.mark.parametrize("depth", ["input", "deep"])
@pytest.mark.parametrize("encoder", [ENCODERS[0], ENCODERS[1]])
def test_leaving_out_in_one_batch_is_leaving_out_one_by_one(
    tmp_path: Path, clean: TestSet, encoder: str, depth: Depth
) -> None:
    backbone = encoder_named(encoder)
    subject = tiny_subject(tmp_path / "recognizer", 3, depth, backbone)
    features = features_of(subject, clean)
    vectors = subject.vectors
    variants = [vectors[:, indices] for indices in leave_one_out(3)]
    together = list(subject.log_probs(features, variants))
    for variant, (log_probs, lengths) in zip(variants, together, strict=True):
        with torch.no_grad():
            alone, alone_lengths = subject.model.under(with_vectors(subject.rows, variant), backbone, features)
        assert torch.equal(lengths, alone_lengths)
        for row, count in enumerate(lengths.tolist()):
            torch.testing.assert_close(log_probs[row, :count], alone[row, :count], rtol=0, atol=1e-4)
    # The variants do differ: the comparison is not one of equals.
    assert not torch.allclose(together[0][0], together[1][0], atol=1e-2)


def test_word_errors_do_not_depend_on_the_batches(tmp_path: Path, clean: TestSet) -> None:
    large = tiny_subject(tmp_path / "large", batch=BatchOptions(frames=100_000))
    small = tiny_subject(tmp_path / "small", batch=TINY_BATCH)
    first, second = leave_each_out(large, [clean]), leave_each_out(small, [clean])
    assert first.counts == second.counts
    for number in range(1, 5):
        separate = small.score(clean, [kept(small, "", [n for n in range(1, 5) if n != number]).vectors])
        assert separate.errors[0] == first.counts["clean"].errors[number]


def test_the_curve_is_paired_differences_of_its_own_counts(subject: CTCSubject, clean: TestSet) -> None:
    found = leave_each_out(subject, [clean])
    counts = found.counts["clean"]
    assert [entry.number for entry in found.left_out] == [1, 2, 3, 4]
    assert found.sets[0].sources == len(clean.items) - 1
    for entry in found.left_out:
        wer = sum(counts.errors[entry.number]) / sum(counts.words)
        difference = entry.difference["clean"]
        assert entry.wer["clean"].value == pytest.approx(wer)
        assert difference.value == pytest.approx(wer - sum(counts.errors[0]) / sum(counts.words))
        assert difference.low <= difference.value <= difference.high
    assert type(found).model_validate_json(found.model_dump_json()) == found
    assert len(found.rows()) == 5


@pytest.mark.parametrize("depth", ["input", "deep"])
def test_all_prompts_removed_is_the_frozen_network_bitwise(tmp_path: Path, clean: TestSet, depth: Depth) -> None:
    subject = tiny_subject(tmp_path / "recognizer", 4, depth)
    features = features_of(subject, clean)
    with torch.no_grad():
        plain = subject.backbone.encode_layers(features)  # type: ignore[arg-type]
        expected = subject.model.head(plain.states, plain.lengths)[0]
    ((log_probs, lengths),) = subject.log_probs(features, [None])  # type: ignore[arg-type]
    assert torch.equal(log_probs, expected)
    assert torch.equal(lengths, plain.lengths)


def test_analyses_leave_the_backbone_as_it_was(subject: CTCSubject, clean: TestSet) -> None:
    before = {name: tensor.clone() for name, tensor in BACKBONE.module.state_dict().items()}
    own = subject.vectors.clone()
    leave_each_out(subject, [clean])
    replace_randomly(subject, [clean], ReplacementOptions(seeds=1))
    remove_all(subject, [clean])
    assert all(torch.equal(tensor, before[name]) for name, tensor in BACKBONE.module.state_dict().items())
    assert torch.equal(subject.vectors, own)


def test_random_prompts_have_their_seed_and_their_scale(subject: CTCSubject) -> None:
    vectors = subject.vectors * 0.1
    assert torch.equal(random_vectors(vectors, 3), random_vectors(vectors, 3))
    assert not torch.equal(random_vectors(vectors, 3), random_vectors(vectors, 4))
    matched = random_vectors(vectors, 3, "matched")
    torch.testing.assert_close(matched.norm(dim=-1), vectors.norm(dim=-1))
    cosine = torch.nn.functional.cosine_similarity(matched, random_vectors(vectors, 3), dim=-1)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))


def test_replacement_averages_over_seeds(subject: CTCSubject, clean: TestSet, tmp_path: Path) -> None:
    other = write_set(tmp_path / "other", "other")
    frozen = tiny_subject(tmp_path / "frozen", None)
    baseline = score_frozen(frozen, [clean, other])
    found = replace_randomly(subject, [clean, other], ReplacementOptions(seeds=3), frozen=baseline)
    assert [row.name for row in found.random] == ["random", "matched"]
    for row in found.random:
        assert row.seeds == (0, 1, 2)
        for name in ("clean", "other"):
            assert len(row.by_seed[name]) == 3
            assert row.wer[name].value == pytest.approx(sum(row.by_seed[name]) / 3)
            assert row.wer[name].low <= row.wer[name].high
    assert found.frozen is not None
    assert found.frozen.wer["clean"].value == pytest.approx(
        sum(baseline["clean"].errors[0]) / sum(baseline["clean"].words)
    )
    assert type(found).model_validate_json(found.model_dump_json()) == found
    assert {len(row) for row in found.rows()} == {len(found.rows()[0])}


def test_one_seed_has_no_spread(subject: CTCSubject, clean: TestSet) -> None:
    found = replace_randomly(subject, [clean], ReplacementOptions(seeds=1, scales=("random",)))
    assert found.random[0].spread == {"clean": 0.0}


def test_subsets_and_removal_tell_the_same_of_the_same(subject: CTCSubject, clean: TestSet, tmp_path: Path) -> None:
    split = RoleSplit(by="given", content=(1, 3), noise=(2, 4))
    subsets = keep_subsets(subject, [clean], split)
    frozen = score_frozen(tiny_subject(tmp_path / "frozen", None), [clean])
    removal = remove_all(subject, [clean], frozen=frozen)
    by_name: dict[str, Condition] = {row.name: row for row in subsets.conditions}
    assert list(by_name) == ["full", "content", "noise", "none"]
    assert by_name["content"].prompts == (1, 3)
    assert by_name["none"] == removal.none
    assert by_name["full"] == removal.full
    assert removal.none_against_frozen is not None
    assert removal.frozen is not None
    assert removal.none_against_frozen["clean"].value == pytest.approx(
        removal.none.wer["clean"].value - removal.frozen.wer["clean"].value
    )


def test_progress_ends_at_the_whole(subject: CTCSubject, clean: TestSet, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    leave_each_out(subject, [clean, write_set(tmp_path / "b", "b")], lambda done, total: told.append((done, total)))
    assert told[-1] == (40, 40)
    assert told == sorted(told)


def test_long_utterances_are_cut_into_windows(tmp_path: Path) -> None:
    subject = tiny_subject(tmp_path / "recognizer")
    long = write_set(tmp_path / "long", "long", (5.5,))
    counts = subject.score(long, [subject.vectors, None])
    assert counts.words == (4,)
    assert len(counts.errors) == 2


# What cannot be analysed


def test_a_frozen_baseline_has_no_prompts_to_take_apart(tmp_path: Path, clean: TestSet) -> None:
    frozen = tiny_subject(tmp_path / "frozen", None)
    with pytest.raises(ConfigError, match=r"frozen baseline \(m = 0\)"):
        leave_each_out(frozen, [clean])
    with pytest.raises(ConfigError, match="give a recogniser with prompts"):
        replace_randomly(frozen, [clean])


def test_a_single_prompt_cannot_be_left_out(tmp_path: Path, clean: TestSet) -> None:
    with pytest.raises(ConfigError, match="m = 1: leaving one out needs at least 2 prompts"):
        leave_each_out(tiny_subject(tmp_path / "recognizer", 1), [clean])


def test_a_prompt_that_does_not_exist_is_refused(subject: CTCSubject) -> None:
    with pytest.raises(ConfigError, match="no prompt 9; there are 4, numbered from 1"):
        kept(subject, "content", [2, 9])


def test_vectors_of_another_width_are_refused(subject: CTCSubject, clean: TestSet) -> None:
    with pytest.raises(PromptMismatch, match="prompt width 8"):
        subject.score(clean, [torch.zeros(1, 2, 8)])


def test_sets_that_say_nothing_are_refused(subject: CTCSubject, clean: TestSet) -> None:
    with pytest.raises(DataError, match="no utterances"):
        TestSet("empty", ())
    with pytest.raises(DataError, match="no test set"):
        check_sets([])
    with pytest.raises(DataError, match="two sets are called 'clean'"):
        score_all(subject, [clean, clean], [None])


def test_a_baseline_counted_elsewhere_is_refused(subject: CTCSubject, clean: TestSet, tmp_path: Path) -> None:
    frozen = score_frozen(tiny_subject(tmp_path / "frozen", None), [write_set(tmp_path / "b", "clean", (1.0,))])
    with pytest.raises(DataError, match="not the same"):
        remove_all(subject, [clean], frozen=frozen)
