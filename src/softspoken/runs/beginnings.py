"""What a run begins with that is not new: another run's best state, or a stored prompt."""

from pathlib import Path
from typing import Any

from softspoken.backbones import WhisperBackbone
from softspoken.errors import ConfigError, SoftspokenError
from softspoken.prompts import LoadedPrompts, load_prompts
from softspoken.prompts.lineage import HOW_LONG
from softspoken.runs.bookkeeping import FACTS, read_json
from softspoken.runs.trained import run_config, state_file, stored_facts
from softspoken.training.config import TrainConfig
from softspoken.training.loop import CONFIG
from softspoken.training.methods import Trained, prompts_of
from softspoken.training.state import Progress, load_state, read_progress


def begin_as(start: str, trained: Trained, config: TrainConfig, backbone: WhisperBackbone) -> None:
    """Give `trained` the numbers of the run in folder `start`, or of the stored prompt `start` (see `find_prompts`).

    A stored prompt may lack whole parts that `config` has, such as 'enrolment': these begin new.

    Raises:
        ConfigError: it trains something else than `config`.
        PromptError: there is no such run or prompt, or it belongs to another backbone.
    """
    if _is_run(start):
        first = run_config(Path(start))
        _require_same(start, {name: (getattr(first, name), getattr(config, name)) for name in _OF_A_RUN})
        load_state(state_file(Path(start), "best"), trained, None)
        return
    stored = load_prompts(start, backbone)
    _require_same(start, _compared(stored, config))
    prompts = prompts_of(trained)
    prompts.load_state_dict(prompts.state_dict() | stored.prompts.state_dict())


def begun_facts(start: str) -> dict[str, Any] | str:
    """For the model card: how long it had been trained before; in words where nothing is known any more."""
    try:
        if _is_run(start):
            run = Path(start)
            return run_facts(run, run_config(run), read_progress(state_file(run, "best")))
        known = load_prompts(start).info.training
        return {name: known[name] for name in HOW_LONG if name in known} or _UNKNOWN
    except SoftspokenError:
        return _UNKNOWN


def run_facts(run: Path, config: TrainConfig, progress: Progress) -> dict[str, Any]:
    """How long a run has been trained, and the one that it began with.

    That is what was noted when it began: `start` may name something else by now. Older runs noted nothing.
    """
    facts: dict[str, Any] = {
        "mixtures": progress.step * config.accumulation * config.mixtures_per_batch,
        "steps": progress.step,
        "hours": round(progress.seconds / 3600, 2),
        "seed": config.seed,
    }
    if config.start is None:
        return facts
    noted = read_json(run / FACTS).get("before")
    return facts | {"before": begun_facts(config.start) if noted is None else noted}


_PARTS = ("encoder", "decoder", "frames", "enrolment")
"""Of prompts: what a recipe may add to a stored one. Voices would have to be centred and scaled anew."""
_OF_A_RUN = ("backbone", "embedder", "prompts", "method")
_UNKNOWN = "another run or prompt"


def _is_run(start: str) -> bool:
    return (Path(start) / CONFIG).is_file()


def _compared(stored: LoadedPrompts, config: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """What of a stored prompt must be as the recipe has it."""
    facts = stored_facts(config)
    lacking = {name: None for name in _PARTS if getattr(stored.info.prompts, name) is None}
    return {
        "prompts": (stored.info.prompts, config.prompts.model_copy(update=lacking)),
        "method": ("prompt", config.method.kind),
        **{name: (getattr(stored.info, name), facts[name]) for name in ("task", "embedder", "window")},
    }


def _require_same(start: str, compared: dict[str, tuple[Any, Any]]) -> None:
    for name, (there, here) in compared.items():
        if there != here:
            difference = _shortly(there, here)
            raise ConfigError(
                f"'{start}' has other '{name}' than this run ({difference}); give the same, or no 'start'"
            )


def _shortly(there: Any, here: Any) -> str:
    """The first thing in which two settings differ."""
    if hasattr(there, "model_dump") and type(there) is type(here):
        for name in type(there).model_fields:
            if getattr(there, name) != getattr(here, name):
                return f"{name}: {_shortly(getattr(there, name), getattr(here, name))}"
    return f"{there} there, {here} here"
