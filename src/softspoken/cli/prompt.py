"""`softspoken prompt`: what is in a stored prompt, whether it is whole, putting it on a hub."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softspoken.cli import doctor, trust
from softspoken.cli.trust import Folder

if TYPE_CHECKING:
    from softspoken.prompts.info import PromptInfo

app = typer.Typer(name="prompt", help="Soft prompts: train, export, inspect, verify, publish.", no_args_is_help=True)

app.command("verify")(trust.verify)
app.command("doctor")(doctor.doctor)
app.command("keygen")(trust.keygen)
app.command("trust")(trust.trust)
app.command("sign")(trust.sign)

Reference = Annotated[
    str, typer.Argument(metavar="REF", help="'shipped', 'tiny.en', a folder, or a hub id owner/name.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command("info")
def info(reference: Reference = "shipped", as_json: AsJson = False) -> None:
    """Configuration, backbone and size of a prompt, after verifying it."""
    from softspoken.prompts.checkpoint import find_prompts, load_prompts

    folder = find_prompts(reference)
    described = _described(folder, load_prompts(folder).info)
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    for key, value in _lines(described).items():
        typer.echo(f"{key:20} {value}")


@app.command("push")
def push(
    folder: Folder,
    repository: Annotated[str, typer.Argument(metavar="REPO", help="owner/name on the hub.", show_default=False)],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
) -> None:
    """Verify a stored prompt and put it into a hub repository, as it is."""
    from softspoken.prompts.checkpoint import load_prompts
    from softspoken.prompts.folder import upload_prompts

    load_prompts(trust.of_prompt(folder))
    typer.echo(upload_prompts(folder, repository, private=private))


def _described(folder: Path, about: "PromptInfo") -> dict[str, Any]:
    from softspoken.prompts.integrity import read_integrity

    return {
        "folder": str(folder),
        "digest_ok": True,
        "identity": read_integrity(folder).identity,
        "trained_parameters": about.trained_parameters,
        "deployed_parameters": about.deployed_parameters,
        "share_percent": about.share_percent,
        **about.model_dump(mode="json", exclude={"trained_parameters"}),
    }


def _lines(described: dict[str, Any]) -> dict[str, str]:
    """The same, for people."""
    from softspoken.prompts.card import by_run, in_words

    backbone, prompts = described["backbone"], described["prompts"]
    trained, share = described["trained_parameters"], described["share_percent"]
    lines = {
        "folder": described["folder"],
        "identity": described["identity"][:12],
        "digest": f"{described['digest'][:12]} (verified)",
        "task": described["task"],
        "backbone": f"{backbone['name']}, fingerprint {backbone['fingerprint'][:12]}",
        "trained parameters": "not recorded" if trained is None else f"{trained:,}",
        "deployed parameters": f"{described['deployed_parameters']:,}"
        + ("" if share is None else f" ({share:.2f} % of the backbone)"),
    }
    for stack in ("encoder", "decoder"):
        vectors = prompts[stack]
        lines[f"{stack} prompts"] = "none" if vectors is None else f"{vectors['length']} vectors, {vectors['depth']}"
    lines["placement"] = prompts["placement"]
    lines["reparameterisation"] = prompts["reparameterisation"]
    for part in ("speaker", "frames", "enrolment"):
        options = prompts[part]
        lines[part] = "none" if options is None else ", ".join(f"{key} {value}" for key, value in options.items())
    lines["embedder"] = "none" if described["embedder"] is None else described["embedder"]
    lines["windows"] = "padded to 30 s" if described["window"] == "30s" else "as long as the audio"
    lines["silence model"] = _silence(described["silence"])
    lines |= {f"training: {key}": in_words(value) for key, value in by_run(described["training"]).items()}
    return lines


def _silence(model: dict[str, Any] | None) -> str:
    """A silence model in a line, for people."""
    if model is None:
        return "none"
    weights = ", ".join(f"{name} {weight:.3g}" for name, weight in model["weights"].items())
    return f"speaking from probability {model['threshold']:.3g} on ({weights})"
