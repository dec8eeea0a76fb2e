"""The facts of stored folders: JSON files of this format's version, and what is wrong with one in one line."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from softspoken.errors import PromptDamaged, PromptError
from softspoken.prompts.info import FORMAT_VERSION

Facts = TypeVar("Facts", bound=BaseModel)

AGAIN = "get or save it again"
"""What to do about a stored folder that is damaged."""


def read_facts(path: Path, kind: type[Facts], what: str) -> Facts:
    """The facts in a stored folder's JSON file, of this format's version; `what` names it in messages.

    Raises PromptError for a newer format, PromptDamaged for anything else that is not such a file.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, OSError, RecursionError) as error:
        raise PromptDamaged(f"'{path}' cannot be read as JSON; {AGAIN}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise PromptError(
            f"'{path.parent}' has {what} format {version}, this version reads up to {FORMAT_VERSION}; update softspoken"
        )
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise PromptDamaged(f"'{path}' says format_version {version!r}; expected {FORMAT_VERSION}; {AGAIN}")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise PromptDamaged(f"'{path}': {first_problem(error)}; {AGAIN}") from error


def first_problem(error: ValidationError | PydanticSerializationError) -> str:
    if not isinstance(error, ValidationError):
        return str(error).splitlines()[0]
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
