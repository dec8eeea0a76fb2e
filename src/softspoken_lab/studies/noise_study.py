"""A table or figure of the second paper from its recipe: train what is missing, write test sets, analyse, one page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from softspoken.errors import ConfigError
from softspoken.training.recipes import recipe_text
from softspoken.training.run_folder import check_same_run, finished
from softspoken_lab.analysis.load import read_test_set
from softspoken_lab.analysis.replacement import ReplacementOptions
from softspoken_lab.analysis.subject import TestSet
from softspoken_lab.noise.bank import NoiseBank, read_noise
from softspoken_lab.noise.config import NoiseTrainConfig
from softspoken_lab.noise.testsets import read_test_manifest
from softspoken_lab.noise.training import RECOGNIZER_FOLDER, run_noise_training
from softspoken_lab.report import inputs as read
from softspoken_lab.report.plan import ReportInputs, ReportOptions
from softspoken_lab.studies.noise_study_config import NoiseSource, SetSource, StudyConfig
from softspoken_lab.studies.recipes import read_any_recipe
from softspoken_lab.testsets.noisy import NoisyTestSpec, write_noisy_testset

Tell = Callable[[str], None]


@dataclass(frozen=True)
class PreparedStudy:
    """Everything that the analyses need, and what a reader should know of it."""

    inputs: ReportInputs
    facts: tuple[tuple[str, str], ...]
    sources: dict[str, str]
    """Set to where it comes from."""


def prepare_study(config: StudyConfig, out: Path, tell: Tell) -> PreparedStudy:
    """Train the models that `out` does not hold yet, write its test sets, and load it all.

    Studies that share `out` share models and test sets. Started again, what is there is not made again.
    """
    wanted = [name for name in (config.baseline, config.subject) if name is not None]
    trained = {name: _trained(config.models[name], out / "models" / name, tell) for name in wanted}
    loaded = read.load_subject(str(trained[config.subject]))
    baseline = None
    if config.baseline is not None:
        baseline = read.load_baseline(str(trained[config.baseline]), loaded)
    sets = _sets(config.sets, out / "sets", tell)
    shift_sets = _sets(config.shift_sets, out / "sets", tell)
    inputs = ReportInputs(
        subject=loaded.subject,
        digest=loaded.digest,
        sets=sets,
        clean=config.clean,
        frozen=None if baseline is None else baseline.subject,
        frozen_digest=None if baseline is None else baseline.digest,
        noise=None if config.probe_noise is None else _bank(config.probe_noise),
        shift_noise=None if config.shift_noise is None else _bank(config.shift_noise),
        shift_sets=shift_sets,
        options=ReportOptions(replacement=ReplacementOptions(seeds=config.seeds), stages=config.stages),
    )
    described = {
        **config.sets,
        **{
            f"{name} (new noise)" if name in config.sets else name: source for name, source in config.shift_sets.items()
        },
    }
    return PreparedStudy(inputs, loaded.facts, {name: _described(source) for name, source in described.items()})


def _trained(recipe: str, run: Path, tell: Tell) -> Path:
    """The recogniser that a recipe trains; one that is there is taken if it was trained by the same recipe."""
    config = read_any_recipe(recipe)
    if not isinstance(config, NoiseTrainConfig):
        raise ConfigError(f"recipe '{recipe}' trains {config.task}; a study of noise needs task = 'noise'")
    check_same_run(config, run)
    if finished(config, run):
        return run / RECOGNIZER_FOLDER
    tell(f"training '{run.name}' by {recipe}")
    found = run_noise_training(config, run, recipe=recipe_text(recipe))
    assert found is not None
    return found


def _sets(sources: Mapping[str, SetSource], folder: Path, tell: Tell) -> tuple[TestSet, ...]:
    return tuple(_set(name, source, folder / name, tell) for name, source in sources.items())


def _set(name: str, source: SetSource, folder: Path, tell: Tell) -> TestSet:
    if source.noise is None:
        return read_test_set(name, source.speech, split=source.split, corpora=source.corpora, limit=source.limit)
    known = folder.with_suffix(".json")
    wanted = source.model_dump_json(indent=2)
    if known.is_file() and known.read_text(encoding="utf-8") != wanted:
        raise ConfigError(f"'{folder}' was written for another study; give another --out, or remove it")
    if not folder.is_dir():
        tell(f"writing the noisy set '{name}'")
        folder.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(wanted, encoding="utf-8")
        speech = read_test_manifest(source.speech, source.split, source.corpora)
        bank = _bank(source.noise)
        spec = NoisyTestSpec(
            per_condition=source.per_condition,
            snr_db=source.snr_db,
            draw=source.draw,
            categories=source.noise.categories,
        )
        write_noisy_testset(speech, bank, folder, spec)
    return read_test_set(name, folder, limit=source.limit)


def _bank(source: NoiseSource) -> NoiseBank:
    return read_noise(source.path, source.split).of(categories=source.categories)


def _described(source: SetSource) -> str:
    which = f" ({', '.join(source.corpora)})" if source.corpora else ""
    noise = "" if source.noise is None else f", in noise of {source.noise.path}"
    return f"{source.split} of {source.speech}{which}{noise}"
