"""Runs that differ in nothing but their seed are one configuration; it is called by what makes it differ."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from softspoken.errors import ConfigError
from softspoken.training.run_folder import MAY_CHANGE
from softspoken_lab.studies.records import RunRecord

NOT_THE_CONFIGURATION = (MAY_CHANGE - {"steps"}) | {"seed"}
"""Differing in these, runs are still of one configuration."""
PROMPTS = "prompts."


@dataclass(frozen=True)
class Group:
    """A configuration and its runs, in the order of their seeds."""

    name: str
    records: tuple[RunRecord, ...]

    @property
    def config(self) -> dict[str, Any] | None:
        return self.records[0].config

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(record.seed for record in self.records)


def group_runs(records: Sequence[RunRecord], names: Mapping[str, str] | None = None) -> tuple[Group, ...]:
    """One group a configuration, in the order in which they first come. `names`: by folder, instead of the differences.

    Raises ConfigError for two runs of one configuration and seed, which would count as two seeds.
    """
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        found.setdefault(_key(record), []).append(record)
    ordered = [sorted(each, key=lambda record: record.seed) for each in found.values()]
    for each in ordered:
        for one, next_one in pairwise(each):
            if one.seed == next_one.seed:
                raise ConfigError(
                    f"'{one.folder}' and '{next_one.folder}' have the same configuration and seed {one.seed}; leave "
                    "one of them out"
                )
    given = {} if names is None else names
    differing = iter(difference_names([configuration(each[0].config) for each in ordered if each[0].config]))
    groups: dict[str, Group] = {}
    for each in ordered:
        first = each[0]
        called = next(differing) if first.config is not None else first.folder.name
        name = given.get(str(first.folder), called if called else first.folder.name)
        if name in groups:
            name = str(first.folder)
        groups[name] = Group(name, tuple(each))
    return tuple(groups.values())


def configuration(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The values that make one configuration differ from another."""
    return {key: value for key, value in (config or {}).items() if key not in NOT_THE_CONFIGURATION}


def difference_names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each configuration: the values that differ, as 'encoder.length=4, reparameterisation=none'."""
    found = _both_stacks(_differing(configs))
    return [", ".join(f"{key.removeprefix(PROMPTS)}{value}" for key, value in parts.items()) for parts in found]


def _both_stacks(found: list[dict[str, str]]) -> list[dict[str, str]]:
    """What both stacks always have alike is said once, as 'length=4'."""
    for decoder in sorted({key for parts in found for key in parts if key.startswith(f"{PROMPTS}decoder.")}):
        encoder, both = (decoder.replace(f"{PROMPTS}decoder.", f"{PROMPTS}{to}") for to in ("encoder.", ""))
        if all(parts.get(encoder) == parts.get(decoder) for parts in found):
            found = [
                {both if key == encoder else key: value for key, value in parts.items() if key != decoder}
                for parts in found
            ]
    return found


def _key(record: RunRecord) -> str:
    if record.config is None:
        return f"folder {record.folder}"
    return json.dumps(configuration(record.config), sort_keys=True)


def _differing(values: Sequence[Any], prefix: str = "") -> list[dict[str, str]]:
    """For each value its differing parts, key to '=value'; a part that some lack is named for the others as well."""
    parts: list[dict[str, str]] = [{} for _ in values]
    if all(value == values[0] for value in values):
        return parts
    tables = [index for index, value in enumerate(values) if isinstance(value, Mapping)]
    if len(tables) < len(values):
        for index, value in enumerate(values):
            parts[index][prefix] = "" if index in tables else f"={_shown(value)}"
        inside = _differing([values[index] for index in tables], prefix) if tables else []
        for index, found in zip(tables, inside, strict=True):
            # 'frames.keyed=72' says that there are frames; 'frames' alone only where nothing else does.
            parts[index] = found if found else parts[index]
        return parts
    dot = f"{prefix}." if prefix else ""
    # In the order in which configurations name them.
    for key in dict.fromkeys(key for value in values for key in value):
        for index, found in enumerate(_differing([value.get(key) for value in values], f"{dot}{key}")):
            parts[index] |= found
    return parts


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return "+".join(_shown(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
