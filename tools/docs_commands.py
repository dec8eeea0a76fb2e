"""A hook of mkdocs: a page's line `<!-- commands of MODULE as NAME -->` becomes the reference of that typer app."""

import re
from importlib import import_module
from typing import Any

import typer
from typer.cli import get_docs_for_click

_PLACE = re.compile(r"<!-- commands of ([\w.]+) as ([\w-]+) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    return _PLACE.sub(lambda found: _reference(found[1], found[2]), markdown)


def _reference(module: str, name: str) -> str:
    command = typer.main.get_command(import_module(module).app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name=name)
    # The page has a title already, and its text is not HTML: '<|nospeech|>' and the like are words.
    return re.sub(r"^#", "##", text, flags=re.MULTILINE)
