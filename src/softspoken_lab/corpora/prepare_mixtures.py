"""Public corpora of mixed speech as they are unpacked, to the manifests that evaluation and training read."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from softspoken.errors import DataError
from softspoken_lab.corpora.mixture_corpus import MixtureOptions, Part, WrittenPart, write_part
from softspoken_lab.corpora.prepare_libri2mix_test import VARIANTS as LIBRI2MIX_TEST_VARIANTS
from softspoken_lab.corpora.prepare_libri2mix_test import libri2mix_test
from softspoken_lab.corpora.prepare_librimix import VARIANTS as LIBRIMIX_VARIANTS
from softspoken_lab.corpora.prepare_librimix import librimix
from softspoken_lab.corpora.prepare_librispeechmix import VARIANTS as LIBRISPEECHMIX_VARIANTS
from softspoken_lab.corpora.prepare_librispeechmix import librispeechmix
from softspoken_lab.corpora.prepare_meetings import AMI_VARIANTS, LIBRICSS_VARIANTS, ami, libricss
from softspoken_lab.corpora.stretches import ENROLMENT_S

MixtureCorpusName = Literal["librimix", "libri2mix-test", "librispeechmix", "libricss", "ami"]
Reader = Callable[[Path, Sequence[str], MixtureOptions], Iterator[Part]]

_READERS: dict[MixtureCorpusName, tuple[Reader, Sequence[str]]] = {
    "librimix": (librimix, LIBRIMIX_VARIANTS),
    "libri2mix-test": (libri2mix_test, LIBRI2MIX_TEST_VARIANTS),
    "librispeechmix": (librispeechmix, LIBRISPEECHMIX_VARIANTS),
    "libricss": (libricss, LIBRICSS_VARIANTS),
    "ami": (ami, AMI_VARIANTS),
}


def prepare_mixtures(
    corpus: MixtureCorpusName,
    source: str | Path,
    out: str | Path,
    only: Sequence[str] = (),
    options: MixtureOptions | None = None,
) -> Iterator[WrittenPart]:
    """Write the parts of a corpus unpacked at `source`, one folder of `out` each, as they are asked for.

    A part's manifest.jsonl has an item a target: `audio`, `enrolment`, `text`, `clean` where it is known, and besides
    `target`, `talkers`, `interferer`, `split`, `sources` and `enrolment_sources` (which speech is in the mixture, and
    which enrols). The same corpus, options and seed give the same items.

    `only`: parts ('test', 'train-100'; 'test-clean-2mix'; 'OV40'; 'dev'), none given: all that are there.

    Raises DataError for a folder that is not that corpus or not all of it, or a part that is written already;
    ConfigError for a variant that there is not; MissingExtra where lhotse is needed and not installed.
    """
    source, out = Path(source), Path(out)
    options = MixtureOptions() if options is None else options
    if not source.is_dir():
        raise DataError(f"'{source}' is not a folder; unpack {corpus} and give the folder it is in")
    reader, variants = _READERS[corpus]
    spec = {
        "corpus": corpus,
        "variant": options.choose(variants, corpus),
        "seed": options.seed,
        "enrolment_s": ENROLMENT_S,
        "silent_per_mixture": options.silent_per_mixture,
    }
    for part in reader(source, only, options):
        if (out / part.name).exists():
            raise DataError(f"'{out / part.name}' is there already; remove it or choose another place")
        yield write_part(part, out, spec, options)
