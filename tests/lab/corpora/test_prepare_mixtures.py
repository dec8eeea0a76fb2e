"""Corpora of mixed speech: what is the same for all of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mixture_folders import make_ami, make_libricss, make_librimix, make_librispeech, make_librispeechmix
from prepared_mixtures import prepare

from softspoken.errors import ConfigError, DataError, MissingExtra
from softspoken_lab.corpora.mixture_corpus import MixtureOptions

MAKERS: dict[str, Callable[[Path], Path]] = {
    "librimix": make_librimix,
    "librispeechmix": make_librispeechmix,
    "libricss": make_libricss,
    "ami": make_ami,
}


@pytest.fixture(scope="module")
def libricss(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_libricss(tmp_path_factory.mktemp("libricss"))


@pytest.mark.parametrize("corpus", list(MAKERS))
def test_every_corpus_refuses_what_it_is_not(tmp_path, corpus: str) -> None:
    make_librispeech(tmp_path / "other", {"test-clean": ("61",)})
    with pytest.raises(DataError, match=f"is not a folder; unpack {corpus}"):
        prepare(corpus, tmp_path / "none", tmp_path / "out")
    with pytest.raises(DataError, match="has no") as error:
        prepare(corpus, tmp_path / "other", tmp_path / "out")
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match=f"{corpus} has no variant 'stereo'; choose one of: "):
        prepare(corpus, tmp_path / "other", tmp_path / "out", variant="stereo")


def test_a_part_that_is_there_is_not_written_again(libricss: Path, tmp_path) -> None:
    prepare("libricss", libricss, tmp_path, "0S")
    with pytest.raises(DataError, match=r"0S' is there already; remove it"):
        prepare("libricss", libricss, tmp_path, "0S")
    assert prepare("libricss", libricss, tmp_path, "0L")


def test_without_lhotse_its_extra_is_named(libricss: Path, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from softspoken_lab.corpora import layout

    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(layout, "import_module", refuse)
    with pytest.raises(MissingExtra, match=r"preparing libricss needs the package 'lhotse'"):
        prepare("libricss", libricss, tmp_path)


def test_counts_below_zero_are_refused() -> None:
    with pytest.raises(ConfigError, match="neither may be below 0"):
        MixtureOptions(silent_per_mixture=-1)
