"""What a card and `prompt info` say of runs that went on from others."""

from softspoken.prompts.card import by_run, in_words

FIRST = {"mixtures": 3200, "steps": 800, "hours": 0.97, "seed": 0}
SECOND = {"mixtures": 400, "steps": 100, "hours": 0.5, "seed": 1}


def test_training_in_one_run_stays_as_it_is() -> None:
    training = FIRST | {"talkers": 12}
    assert by_run(training) == training


def test_runs_come_in_the_order_in_which_they_were_done() -> None:
    said = by_run({"talkers": 12} | SECOND | {"before": FIRST, "development_wer": 0.25})
    assert said == {
        "talkers": 12,
        "development_wer": 0.25,
        "run 1": FIRST,
        "run 2": SECOND,
        "all runs": {"mixtures": 3600, "hours": 1.47},
    }


def test_nothing_is_summed_where_a_run_is_not_known() -> None:
    assert by_run(SECOND | {"before": "another run or prompt"}) == {"run 1": "another run or prompt", "run 2": SECOND}
    unsaid = {"steps": 800, "seed": 0}
    assert by_run(SECOND | {"before": unsaid}) == {"run 1": unsaid, "run 2": SECOND}


def test_a_run_that_went_on_from_a_mean_says_so() -> None:
    third = {"mixtures": 40, "steps": 10, "hours": 0.05, "seed": 2}
    mean = {"mean of": [SECOND | {"before": FIRST}, SECOND | {"seed": 5}]}
    said = by_run(third | {"before": mean})
    assert said["run 2"] == SECOND
    assert said["run 3"] == SECOND | {"seed": 5, "after": "none of these"}
    assert said["run 4"] == third | {"after": ["run 2", "run 3"]}
    assert said["all runs"]["mixtures"] == 4040
    assert "mean of" not in said


def test_a_mean_of_what_nobody_knows_is_still_said() -> None:
    said = by_run({"mean of": ["a0", SECOND | {"before": "another run or prompt"}]})
    assert said == {
        "mean of": ["run 1", "run 3"],
        "run 1": "a0",
        "run 2": {"after": "none of these", "of": "another run or prompt"},
        "run 3": SECOND,
    }
    assert by_run({"mean of": 5, "seed": 1}) == {"mean of": 5, "seed": 1}


def test_values_are_said_without_braces() -> None:
    assert in_words({"seed": 0, "speeds": [0.9, 1.0], "of": {"a": None, "hours": 0.333333}}) == (
        "seed 0, speeds 0.9, 1, of a None, hours 0.3333"
    )
