import math
from collections import defaultdict
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from softspoken_lab.noise.characters import Characters
from softspoken_lab.noise.language_model import load_language_model
from softspoken_lab.noise.search import BeamOptions, BeamSearch, greedy

SMALL = Characters(("_", "|", "A", "B"))
EXACT = BeamOptions(width=2000, symbol_floor=-math.inf, margin=math.inf)
BIGRAM = """
\\data\\
ngram 1=5
ngram 2=4

\\1-grams:
-99 <s> -0.3
-0.8 </s>
-1.0 <unk>
-0.5 AB -0.2
-0.7 BA -0.4

\\2-grams:
-0.2 <s> AB
-1.9 <s> BA
-0.4 AB BA
-0.3 BA </s>

\\end\\
"""


@pytest.fixture
def bigram(tmp_path: Path) -> Path:
    path = tmp_path / "bigram.arpa"
    path.write_text(BIGRAM)
    return path


def random_rows(count: int, frames: int, scale: float = 2.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, frames, SMALL.size, generator=generator) * scale).log_softmax(dim=-1)


def spelled(text: str, characters: Characters = Characters()) -> Tensor:
    """Peaked outputs that write `text`, two frames a character and a blank after each."""
    path = [frame for symbol in characters.encode(text) for frame in (symbol, symbol, 0)] or [0]
    return (torch.nn.functional.one_hot(torch.tensor(path), characters.size) * 20.0).log_softmax(dim=-1)[None]


def summed_over_paths(frames: Tensor) -> dict[str, float]:
    """Probability of every text, by going through all paths."""
    found: dict[str, float] = defaultdict(float)
    for path in product(range(frames.shape[1]), repeat=frames.shape[0]):
        text = SMALL.decode(symbol for symbol, _ in groupby(path))
        found[text] += math.exp(frames[range(len(path)), path].sum().item())
    return found


def full(log_probs: Tensor) -> Tensor:
    return torch.full((len(log_probs),), log_probs.shape[1])


@pytest.mark.parametrize("text", ["HELLO IT'S ME", "A", ""])
def test_greedy_and_beams_of_any_width_read_what_is_clearly_written(text: str) -> None:
    frames, characters = spelled(text), Characters()
    assert greedy(frames, full(frames), characters) == [text]
    for width in (1, 5):
        assert BeamSearch(characters, BeamOptions(width=width)).decode(frames, full(frames)) == [text]


def test_greedy_keeps_letters_that_a_blank_divides_and_trims_spaces() -> None:
    path = [1, 2, 2, 0, 2, 1, 1, 0, 1, 3, 1]
    frames = torch.nn.functional.one_hot(torch.tensor([path]), SMALL.size).float().log_softmax(dim=-1)
    assert greedy(frames, torch.tensor([len(path)]), SMALL) == ["AA B"]
    assert BeamSearch(SMALL, BeamOptions(width=1, symbol_floor=-1)).decode(frames * 20, torch.tensor([11])) == ["AA B"]


def test_a_wide_beam_finds_the_most_probable_text_of_all_paths() -> None:
    rows = random_rows(12, 5)
    found = BeamSearch(SMALL, EXACT).decode(rows, full(rows))
    best = [max(scores := summed_over_paths(row), key=scores.__getitem__) for row in rows]
    assert found == best
    assert found != greedy(rows, full(rows), SMALL)


@pytest.mark.parametrize("weight", [0.3, 2.0])
def test_with_a_language_model_it_finds_the_best_of_the_fused_scores(bigram: Path, weight: float) -> None:
    settings = {"language_model": bigram, "language_weight": weight, "word_bonus": 0.7, "unknown_penalty": -1.5}
    options = BeamOptions.model_validate({**EXACT.model_dump(), **settings})
    model = load_language_model(bigram)
    rows = random_rows(12, 5, scale=0.7, seed=4)

    def fused(text: str, probability: float) -> float:
        score, state = math.log(probability), model.start
        for word in text.split():
            worth, state = model.score(state, word)
            score += weight * worth + 0.7 + (0.0 if word in ("AB", "BA") else -1.5)
        return score + weight * model.end(state)

    best = []
    for row in rows:
        scores = {text: fused(text, probability) for text, probability in summed_over_paths(row).items()}
        best.append(max(scores, key=scores.__getitem__))
    assert BeamSearch(SMALL, options).decode(rows, full(rows)) == best
    assert best != BeamSearch(SMALL, EXACT).decode(rows, full(rows))


def test_a_language_model_decides_between_equals(bigram: Path) -> None:
    # Either letter first, either second; the model knows 'AB' best, and not 'AA'.
    probabilities = torch.tensor([[0.01, 0.01, 0.49, 0.49], [0.97, 0.01, 0.01, 0.01], [0.01, 0.01, 0.49, 0.49]])
    frames = probabilities.log()[None]
    lower = bigram.with_name("lower.arpa")
    lower.write_text(BIGRAM.replace("AB", "ab").replace("BA", "ba"))
    swapped = bigram.with_name("swapped.arpa")
    swapped.write_text(BIGRAM.replace("AB", "xx").replace("BA", "AB").replace("xx", "BA"))
    for path, text in ((bigram, "AB"), (lower, "AB"), (swapped, "BA")):
        assert BeamSearch(SMALL, BeamOptions(language_model=path)).decode(frames, full(frames)) == [text]


def test_an_unknown_word_is_written_when_it_is_clearly_said(bigram: Path) -> None:
    frames = spelled("AB BBB AB", SMALL)
    assert BeamSearch(SMALL, BeamOptions(language_model=bigram)).decode(frames, full(frames)) == ["AB BBB AB"]


def test_unknown_words_are_not_glued_together_to_pay_once(bigram: Path) -> None:
    """The space is doubtful: a search that asked for the price of a word at its end only would never end one."""
    path = [2, 3, 1, 3, 2, 0]
    logits = torch.nn.functional.one_hot(torch.tensor(path), SMALL.size) * 6.0
    logits[2, 0] = 7.0
    frames = logits.log_softmax(dim=-1)[None]
    assert greedy(frames, full(frames), SMALL) == ["ABBA"]
    narrow = BeamOptions(language_model=bigram, width=3)
    assert BeamSearch(SMALL, narrow).decode(frames, full(frames)) == ["AB BA"]


def test_padding_changes_nothing() -> None:
    rows, lengths = random_rows(6, 30), torch.tensor([30, 1, 7, 12, 0, 25])
    search = BeamSearch(SMALL)
    together, greedily = search.decode(rows, lengths), greedy(rows, lengths, SMALL)
    for row, length in enumerate(lengths.tolist()):
        alone = rows[row : row + 1, :length]
        assert search.decode(alone, full(alone)) == [together[row]]
        assert greedy(alone, full(alone), SMALL) == [greedily[row]]
    assert (together[4], greedily[4]) == ("", "")


def test_pruning_costs_little() -> None:
    """Default pruning finds, nearly always, what the search without it finds."""
    rows = random_rows(10, 20, scale=3.0, seed=9)
    wide = BeamSearch(SMALL, BeamOptions(width=200, symbol_floor=-math.inf, margin=math.inf)).decode(rows, full(rows))
    found = BeamSearch(SMALL).decode(rows, full(rows))
    assert np.mean([one == other for one, other in zip(found, wide, strict=True)]) >= 0.9


@pytest.mark.parametrize("values", [{"width": 0}, {"margin": -1.0}, {"symbol_floor": 1.0}, {"unknown_penalty": 3.0}])
def test_impossible_options_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        BeamOptions.model_validate(values)
