import gzip
import math
import random
import sys
from pathlib import Path

import pytest

from softspoken.errors import DataError, MissingExtra
from softspoken_lab.noise.language_model import LanguageModel, load_language_model

TRIGRAM = """\
\\data\\
ngram 1=6
ngram 2=4
ngram 3=2

\\1-grams:
-99\t<s>\t-0.30
-0.9\t</s>
-1.2\t<unk>
-0.6\tthe\t-0.25
-0.8\tcat\t-0.40
-1.1\tsat\t-0.10

\\2-grams:
-0.3\t<s> the\t-0.15
-0.5\tthe cat\t-0.20
-0.4\tcat sat\t-0.05
-0.2\tsat </s>

\\3-grams:
-0.1\t<s> the cat
-0.15\tthe cat sat

\\end\\
"""


@pytest.fixture
def trigram(tmp_path: Path) -> Path:
    path = tmp_path / "trigram.arpa"
    path.write_text(TRIGRAM)
    return path


def log10_of(model: LanguageModel, words: list[str]) -> list[float]:
    """Of each word, and of the end."""
    state, found = model.start, []
    for word in words:
        score, state = model.score(state, word)
        found.append(score / math.log(10))
    return [*found, model.end(state) / math.log(10)]


def test_scores_are_those_worked_out_by_hand(trigram: Path) -> None:
    model = load_language_model(trigram)
    assert log10_of(model, ["the", "cat", "sat"]) == pytest.approx([-0.3, -0.1, -0.15, -0.2 - 0.05 + 0.05 - 0.05])
    # After '<s> the': 'the the' is not there, so both back-off weights and the single word.
    assert log10_of(model, ["the", "the"])[1] == pytest.approx(-0.15 - 0.25 - 0.6)
    assert log10_of(model, ["dog"])[0] == pytest.approx(-0.30 - 1.2)
    assert sorted(model.words()) == ["cat", "sat", "the"]


def test_kenlm_says_the_same(trigram: Path) -> None:
    pytest.importorskip("kenlm", reason="kenlm, an independent implementation, is not installed")
    from softspoken_lab.noise.language_model import KenLMModel

    ours, theirs = load_language_model(trigram), KenLMModel(trigram, ["the", "cat", "dog"])
    chooser = random.Random(0)
    for _ in range(50):
        words = chooser.choices(["the", "cat", "sat", "dog"], k=chooser.randint(0, 6))
        assert log10_of(ours, words) == pytest.approx(log10_of(theirs, words), abs=1e-5)
    assert list(theirs.words()) == ["the", "cat"]
    with pytest.raises(DataError, match="none of the words"):
        KenLMModel(trigram, ["dog"])


def test_a_packed_file_is_read(trigram: Path) -> None:
    packed = trigram.with_suffix(".arpa.gz")
    packed.write_bytes(gzip.compress(TRIGRAM.encode()))
    assert log10_of(load_language_model(packed), ["cat"]) == log10_of(load_language_model(trigram), ["cat"])


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "data"),
        (b"just a text\n", "data"),
        (bytes(range(256)) * 4, "neither ARPA text"),
        (b"\x1f\x8b" + b"no gzip", "neither ARPA text"),
        (gzip.compress(TRIGRAM.encode())[:-30], "neither ARPA text"),
        (TRIGRAM.replace("ngram 2=4", "ngram 2=5").encode(), "2-grams"),
        (TRIGRAM.replace("ngram 2=4", "ngram 2=3").encode(), "3-grams do not begin"),
        (TRIGRAM.replace("-0.8\tcat", "often\tcat").encode(), "often"),
        (TRIGRAM[: TRIGRAM.index("\\end")].encode(), "end"),
        (TRIGRAM.replace("ngram 1=6", "ngram 1=many").encode(), "many"),
        (TRIGRAM.replace("</s>", "</t>").encode(), "</s>"),
    ],
)
def test_a_file_that_is_no_language_model_is_one_clear_line(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "bad.arpa"
    path.write_bytes(content)
    with pytest.raises(DataError, match=named) as caught:
        load_language_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no language model at .*none\.arpa"):
        load_language_model(tmp_path / "none.arpa")


def test_a_binary_file_asks_for_its_words_and_for_kenlm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, words = tmp_path / "model.bin", tmp_path / "words.txt"
    path.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0 and no more")
    words.write_text("the\ncat\n")
    with pytest.raises(DataError, match="words"):
        load_language_model(path)
    with pytest.raises(DataError, match=r"missing\.txt"):
        load_language_model(path, tmp_path / "missing.txt")
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(MissingExtra, match=r"softspoken\[beam\]"):
        load_language_model(path, words)


def test_a_damaged_binary_file_is_one_clear_line(tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="kenlm reads binary files, and is not installed")
    path, words = tmp_path / "model.bin", tmp_path / "words.txt"
    path.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0 and no more")
    words.write_text("the\n")
    with pytest.raises(DataError, match="cannot be read by KenLM") as caught:
        load_language_model(path, words)
    assert "\n" not in str(caught.value)
