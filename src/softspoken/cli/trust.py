"""`softspoken prompt keygen|trust|sign|verify`: whether a prompt is what was saved, and who vouches for it."""

from pathlib import Path
from typing import Annotated

import typer

from softspoken.cli.checks import require_backbone

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A prompt folder.", show_default=False)]
RequireSignature = Annotated[
    bool, typer.Option("--require-signature", help="Refuse a prompt that no key in the trust store has signed.")
]


def verify(
    folder: Folder,
    backbone: Annotated[
        str | None, typer.Option(help="Also check that it belongs to this backbone (loads it).", show_default=False)
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Also check that this public key has signed it.", show_default=False)
    ] = None,
    require_signature: RequireSignature = False,
) -> None:
    """Check a stored prompt: every byte of its files, format, shapes, numbers. Exit code 1 if anything is wrong."""
    require_backbone(backbone, "cpu")
    from softspoken.prompts.checkpoint import load_prompts
    from softspoken.prompts.integrity import read_integrity
    from softspoken.prompts.signatures import SIGNATURE_FILE, signer

    place = of_prompt(folder)
    loaded = load_prompts(place)
    said = [f"whole, identity {read_integrity(place).identity[:12]}, for backbone '{loaded.info.backbone.name}'"]
    if backbone is not None:
        from softspoken.backbones import load_backbone

        loaded.check(load_backbone(backbone))
        said.append(f"belongs to '{backbone}'")
    if key is not None or require_signature:
        said.append(f"signed by '{signer(place, key)}'")
    elif (place / SIGNATURE_FILE).is_file():
        said.append("has a signature that was not checked (give --key or --require-signature)")
    typer.echo(f"{folder}: {', '.join(said)}")


def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes.", show_default=False)],
) -> None:
    """Make a key to sign prompts with: FILE is private and FILE.pub is for everybody who should trust you."""
    from softspoken.prompts.signatures import make_key

    typer.echo(f"{file}: keep it secret; give {make_key(file.expanduser())} away")


def trust(
    public: Annotated[Path, typer.Argument(metavar="KEY.pub", help="A public key.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="Whose key it is (default: the file's name).", show_default=False)
    ] = None,
) -> None:
    """Trust prompts that this public key has signed, from now on."""
    from softspoken.prompts import signatures

    chosen = signatures.trust(public.expanduser(), name)
    typer.echo(f"'{chosen}' is trusted; to end that, remove {signatures.trust_store() / (chosen + '.pub')}")


def sign(
    folder: Folder,
    key: Annotated[Path, typer.Option(help="Your private Ed25519 key (see keygen).", show_default=False)],
) -> None:
    """Verify a stored prompt and sign it, in place."""
    from softspoken.prompts import signatures
    from softspoken.prompts.checkpoint import load_prompts

    place = of_prompt(folder)
    load_prompts(place)
    signatures.sign(place, key.expanduser())
    typer.echo(f"{folder}: signed")


def of_prompt(folder: Path) -> Path:
    """Whole path of a prompt folder; names of shipped prompts and hub ids are not meant here."""
    from softspoken.errors import PromptError

    if not folder.is_dir():
        raise PromptError(f"no folder '{folder}'; give a prompt folder")
    return folder.resolve()


def require_signature_of(reference: str) -> str:
    """Who signed a prompt (see `find_prompts`, or 'short'); what comes with the package is trusted as it is.

    Raises PromptNotTrusted and PromptDamaged as `signer` does.
    """
    from softspoken.prompts.checkpoint import SHIPPED, find_prompts
    from softspoken.prompts.short import SHORT
    from softspoken.prompts.signatures import signer

    if reference == SHORT:
        return "softspoken"
    folder = find_prompts(reference)
    return "softspoken" if folder.is_relative_to(SHIPPED) else signer(folder)
