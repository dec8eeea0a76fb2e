"""What the commands of `softspoken speaker` have in common."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from softspoken.speakers import EnrolmentStore

Store = Annotated[
    str | None,
    typer.Option(
        "--store", help="File of voices, by default voices.db in the data folder; or a database, as postgresql://..."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace a voice of the same name.")]


def open_store(store: str | None) -> "EnrolmentStore":
    """The store that `--store` names."""
    from softspoken.speakers import EnrolmentStore

    return EnrolmentStore(store)
