"""What can be known of arguments before anything slow to import, fetch or load is touched."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from softspoken.defaults import BACKBONE_SIZES, DEFAULT_BACKBONE

_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_ELSEWHERE = "a folder, or a hub repository owner/name"
_METHODS = ("none", "clean", "cascade", "diarise")
_DEVICE = re.compile(r"cpu|(cuda|xpu|mps)(:\d+)?")


def require_recipe(reference: str) -> None:
    """Raise ConfigError where there is no such file; `FILE.toml:ROW` names a row of one."""
    from softspoken.errors import ConfigError

    path = Path(re.sub(r"(\.toml):[^:/\\]+$", r"\1", str(reference)))
    if not path.is_file():
        raise ConfigError(f"no recipe at '{path}'; see the folder 'recipes' for examples")


def require_run(run: Path) -> None:
    """Raise ConfigError for a folder in which no training was begun."""
    from softspoken.errors import ConfigError

    if not (run / "config.json").is_file():
        raise ConfigError(f"no training run in '{run}'; train first, or wait for its first save")


def require_files(paths: list[Path]) -> None:
    """Raise DataError for a file that does not exist."""
    from softspoken.errors import DataError

    for path in paths:
        if not path.is_file():
            raise DataError(f"'{path}' is no file; check the name, or the folder you are in ({Path.cwd()})")


def require_backbone(name: str | None, device: str, known: tuple[str, ...] = BACKBONE_SIZES) -> None:
    """Raise BackboneError for a name that is no model, folder, file or hub repository, ConfigError for a device."""
    from softspoken.errors import BackboneError, ConfigError

    if not _DEVICE.fullmatch(device):
        raise ConfigError(f"no device '{device}'; expected cpu, cuda or cuda:1")
    if name is None or name in known or Path(name).exists() or _HUB.fullmatch(name):
        return
    raise BackboneError(f"no backbone '{name}'; {_close(name, known)}, a folder, or a hub repository owner/name")


def require_prompt(reference: str | None, methods: tuple[str, ...] = ()) -> None:
    """Raise PromptError for what is no prompt that comes with the package, no folder and no hub repository.

    `methods`: what else could have been meant.
    """
    from softspoken import assets
    from softspoken.errors import PromptError

    shipped = sorted(path.name for path in (Path(assets.__file__).parent / "prompts").iterdir() if path.is_dir())
    known = ("shipped", "short", *shipped)
    if reference is None or reference in known or Path(reference).expanduser().exists() or _HUB.fullmatch(reference):
        return
    kind = "method or prompt" if methods else "prompt"
    raise PromptError(f"no {kind} '{reference}'; {_close(reference, (*methods, *known))}, {_ELSEWHERE}")


def require_methods(names: Sequence[str] | None, others: tuple[str, ...] = ()) -> None:
    """Raise PromptError for what is neither a method by its name nor a prompt, ConfigError for a threshold that is no
    cosine.

    `others`: more kinds of method.
    """
    for name in names or ():
        kind, colon, _ = name.partition(":")
        if colon and kind in ("cascade", "diarise"):
            from softspoken.evaluation.cascade import cascade_named

            cascade_named(name)
        elif name not in _METHODS and kind not in others:
            require_prompt(name, _METHODS)


def language_given(language: str | None, backbone: str | None, prompt: str | None) -> str | None:
    """Its code. Raises ConfigError for one that is none, or that the model does not know."""
    from softspoken.errors import ConfigError
    from softspoken.languages import language_code

    code = None if language is None else language_code(language)
    if code in (None, "en"):
        return code
    model = _backbone_of(prompt) if backbone is None else backbone
    if model.endswith(".en"):
        raise ConfigError(f"--language {language} with '{model}', which knows English only; give --backbone base, too")
    return code


def _backbone_of(prompt: str | None) -> str:
    """The model that runs where only a prompt is named; '' for a prompt that would have to be fetched."""
    from softspoken.prompts.checkpoint import load_prompts

    if prompt in (None, "short"):
        return DEFAULT_BACKBONE
    fetched = _HUB.fullmatch(prompt) and not Path(prompt).exists()
    return "" if fetched else load_prompts(prompt).info.backbone.name


def _close(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}? Give a name" if close else f"give a name ({', '.join(known)})"
