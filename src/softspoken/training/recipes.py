"""Recipes: a TOML file, or a row of one that holds many.

`FILE.toml` has the fields of a recipe and may begin with `extends = "other.toml"`. `FILE.toml:ROW` is a row of a file
like this, in which the values of `two` are those of `[base]`, then those of `one`, then its own:

    [base]
    steps = 300

    [rows.one]
    prompts.encoder.length = 4

    [rows.two]
    extends = "one"
    seed = 1

`[base]` may extend another file or row, too. What else stands at the top of such a file belongs to a study
(`softspoken_lab.studies`), and so do the `seeds` of a row.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from softspoken.errors import ConfigError
from softspoken.training.config import LoopConfig, TrainConfig

Recipe = TypeVar("Recipe", bound=LoopConfig)

STUDY_COMMANDS = {
    "noise-study": "softspoken-lab analyse study",
    "target-speaker-study": "softspoken-lab study",
}
"""What runs all rows of a file, by its `task`."""
_OF_STUDIES = ("task", "method", "prompt_start", "window", "mix_on_device")
_DATA_OF_STUDIES = ("mixtures", "resident", "voices")
"""Keys that only the laboratory's trainings know, of a recipe and of its `data`."""
_SEEDS = "seeds"
_HAVE_SEEDS = "target-speaker-study"
_HEADER = re.compile(r"\s*\[+([^\]]+)\]+")
_KEY = re.compile(r"\s*([\w.\"'-]+)\s*=")
_PART = re.compile(r"[\w-]+")
_WITH_ROW = re.compile(r"(.+\.toml):([^:/\\]+)")


class RecipeReference(NamedTuple):
    """Where a recipe is: a file, and a row of it where it holds many."""

    path: Path
    row: str | None

    @classmethod
    def of(cls, reference: str | Path) -> "RecipeReference":
        """`FILE.toml` or `FILE.toml:ROW`."""
        found = _WITH_ROW.fullmatch(str(reference))
        return cls(Path(reference), None) if found is None else cls(Path(found[1]), found[2])

    def __str__(self) -> str:
        return str(self.path) if self.row is None else f"{self.path}:{self.row}"


def read_recipe(reference: str | Path, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """The run that `FILE.toml` or `FILE.toml:ROW` describes. Relative data paths count from the working directory.

    Raises ConfigError in one line.
    """
    values = recipe_values(reference)
    data = values.get("data")
    data = data if isinstance(data, dict) else {}
    found = [key for key in _OF_STUDIES if key in values] + [f"data.{key}" for key in _DATA_OF_STUDIES if key in data]
    if found:
        raise ConfigError(f"recipe '{reference}' has '{found[0]}', for studies; train it with 'softspoken-lab train'")
    return recipe_as(TrainConfig, reference, values | dict(overrides or {}))


def read_data(reference: str | Path) -> TrainConfig:
    """The backbone and the speech that a recipe of any kind names, all else by default. Errors as of `read_recipe`."""
    values = recipe_values(reference)
    found: dict[str, Any] = {key: values[key] for key in ("backbone", "data") if key in values}
    if isinstance(found.get("data"), dict):
        found["data"] = {key: value for key, value in found["data"].items() if key not in _DATA_OF_STUDIES}
    return recipe_as(TrainConfig, reference, found)


def recipe_as(kind: type[Recipe], reference: str | Path, values: Mapping[str, Any]) -> Recipe:
    """The values of a recipe, validated. Raises ConfigError in one line that names every wrong value with its place."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"recipe '{reference}': {'; '.join(_problems(error, reference))}") from error


def _problems(error: ValidationError, reference: str | Path) -> list[str]:
    """Every wrong value and every unknown key, each with its place."""
    found = []
    for one in error.errors():
        place = line_of(reference, [str(part) for part in one["loc"]])
        message = "is no key of a recipe" if one["type"] == "extra_forbidden" else one["msg"]
        found.append(f"{'.'.join(str(part) for part in one['loc'])} {message}{'' if place is None else f' ({place})'}")
    return found


def recipe_text(reference: str | Path) -> str:
    """A recipe as it is written, with the ones that it extends below it, as comments; of a row, with its whole file."""
    path, row = RecipeReference.of(reference)
    text = _with_extended(path)
    return text if row is None else _commented(f'extends = "{path.name}:{row}"', path.name, text)


def _with_extended(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    document = tomllib.loads(text)
    base = document.get("extends", document.get("base", {}).get("extends"))
    if base is None:
        return text
    return _commented(text, str(base), _with_extended(RecipeReference.of(path.parent / str(base)).path))


def _commented(text: str, name: str, below: str) -> str:
    """`text` with another one, called `name`, below it, as comments."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in [f"{name}:", *below.splitlines()])
    return f"{text.rstrip()}\n\n{comment}"


def recipe_values(reference: str | Path) -> dict[str, Any]:
    """What a recipe says, on top of what the ones say that it extends, table by table; not yet validated.

    Raises ConfigError in one line: there is no such file or row, it is not TOML, or it extends itself.
    """
    return _values(RecipeReference.of(reference), ())


def line_of(reference: str | Path, keys: Sequence[str]) -> str | None:
    """`FILE:LINE` where a value stands in a recipe, or in those that it extends; None where it is in no line."""
    path, row = RecipeReference.of(reference)
    tables = [(), ("base",)] if row is None else [("rows", row), ("base",), ()]
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for table in tables:
        wanted, header = (*table, *keys), ()
        for number, line in enumerate(lines, start=1):
            if found := _HEADER.match(line):
                header = tuple(_PART.findall(found[1]))
                here: tuple[str, ...] = header
            elif found := _KEY.match(line):
                here = (*header, *_PART.findall(found[1]))
            else:
                continue
            # A table that is wrong as a whole stands where it begins.
            if here == wanted or (len(here) < len(wanted) and here == wanted[: len(here)] and "{" in line):
                return f"{path}:{number}"
    above = _above(path, row)
    return None if above is None else line_of(above, keys)


def _above(path: Path, row: str | None) -> str | None:
    """The recipe that this one extends."""
    if not path.is_file():
        return None
    document = _read(path)
    values = document.get("rows", {}).get(row, {}) if row is not None else document
    if row is not None and "extends" in values:
        return f"{path}:{values['extends']}"
    base = document.get("base", {}).get("extends") if row is not None else document.get("extends")
    return None if base is None else str(path.parent / str(base))


def rows_of(document: Mapping[str, Any], path: Path) -> dict[str, Mapping[str, Any]]:
    """The rows of a file by name, none where it is a single recipe. Raises ConfigError for rows that are not tables."""
    rows = document.get("rows", {})
    for name, shape in (("base", "[base]"), ("rows", "[rows.NAME] for each row")):
        if not isinstance(document.get(name, {}), Mapping):
            raise ConfigError(f"'{name}' of '{path}' is not a table; write {shape}")
    for name, row in rows.items():
        if not isinstance(row, Mapping):
            raise ConfigError(f"row '{name}' of '{path}' is not a table; write its values below [rows.{name}]")
    return dict(rows)


def _values(reference: RecipeReference, inside: tuple[RecipeReference, ...]) -> dict[str, Any]:
    """`inside`: the references on the way here, with resolved paths."""
    path = reference.path
    here = reference._replace(path=path.resolve())
    if here in inside:
        raise ConfigError(f"recipe '{reference}' extends itself; name another one")
    inside = (*inside, here)
    document = _read(path)
    rows = rows_of(document, path)
    _check_row(reference, document, rows)
    if reference.row is None:
        return _on_top(document, path, inside)
    row = dict(rows[reference.row])
    if document.get("task") == _HAVE_SEEDS:
        row.pop(_SEEDS, None)
    above = row.pop("extends", None)
    if above is None:
        return _merged(_on_top(document.get("base", {}), path, inside), row)
    return _merged(_values(reference._replace(row=str(above)), inside), row)


def _on_top(values: Mapping[str, Any], path: Path, inside: tuple[RecipeReference, ...]) -> dict[str, Any]:
    """`values`, on top of those of the recipe that they extend, which is named from the folder of `path` on."""
    own = dict(values)
    base = own.pop("extends", None)
    if base is None:
        return own
    below = RecipeReference.of(path.parent / str(base))
    if not below.path.is_file():
        raise ConfigError(f"recipe '{path}' extends '{base}', which is not beside it; correct the name")
    return _merged(_values(below, inside), own)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` wins; a table that says of which `kind` it is replaces the other as a whole."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(below.get(key), Mapping) and "kind" not in value
        merged[key] = _merged(below[key], value) if both else value
    return merged


def _check_row(reference: RecipeReference, document: Mapping[str, Any], rows: Mapping[str, Any]) -> None:
    """Raise ConfigError unless the reference names a row exactly where the file has some."""
    path, row = reference
    names = ", ".join(rows)
    command = STUDY_COMMANDS.get(str(document.get("task")))
    if row is None and command is not None:
        or_row = f", or train one of its rows, as '{path}:{next(iter(rows))}'; it has {names}" if rows else ""
        raise ConfigError(f"'{path}' is a study, not a training; run it with '{command} {path}'{or_row}")
    if row is None and rows:
        raise ConfigError(f"'{path}' holds several recipes; name one, as '{path}:{next(iter(rows))}'; it has {names}")
    if row is not None and row not in rows:
        raise ConfigError(f"no row '{row}' in '{path}'; it has {names if rows else 'none, so give the file alone'}")
    outside = [key for key in document if key not in ("base", "rows")]
    if row is not None and command is None and outside:
        raise ConfigError(f"'{outside[0]}' of '{path}' stands outside of its rows; put what they share below [base]")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"no recipe at '{path}'; see the folder 'recipes' for examples")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"recipe '{path}' is not TOML: {error}") from error
