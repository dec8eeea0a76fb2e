"""`softspoken serve`: OpenAI's transcription API that knows voices, and a page to use it."""

from pathlib import Path
from typing import Annotated

import typer

from softspoken.cli import transcribe_options as given
from softspoken.cli.checks import require_backbone, require_files, require_prompt
from softspoken.cli.engines import EngineChoice
from softspoken.cli.trust import RequireSignature, require_signature_of


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines connect.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            help="A prompt to follow voices with, as for `transcribe`; several may be given (default: shipped).",
            rich_help_panel=given.MODEL,
        ),
    ] = None,
    require_signature: RequireSignature = False,
    backbone: given.Backbone = None,
    keys: Annotated[
        Path | None, typer.Option(help="File with a line NAME KEY for each user; each has voices of their own.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Folder for enrolled voices, or a database, as postgresql://... (default: your data folder)."
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Web page, such as https://app.example.org, whose scripts may use the server."),
    ] = None,
    max_upload_mb: Annotated[int, typer.Option(min=1, help="Refuse larger requests.")] = 200,
    max_minutes: Annotated[float, typer.Option(min=0.1, help="Refuse longer recordings.")] = 120.0,
    max_requests: Annotated[int, typer.Option(min=1, help="Requests at once; more are told to try again later.")] = 64,
    rows: Annotated[int, typer.Option(min=1, help="Most windows and voices in one batch.")] = 8,
    engine: given.Engine = EngineChoice.AUTO,
    precision: given.Precision = None,
    device: given.Device = "cpu",
) -> None:
    """Serve transcriptions to OpenAI's clients, with known voices, and a page at http://HOST:PORT/."""
    require_backbone(backbone, device)
    prompts = prompt or ["shipped"]
    for reference in prompts:
        require_prompt(reference)
        if require_signature:
            require_signature_of(reference)
    if keys is not None:
        require_files([keys])
    _require_store(data)
    _require_server(host, port)

    from softspoken.serve.app import create_app
    from softspoken.serve.backend import EngineBackend
    from softspoken.serve.config import LOOPBACK, Limits, ServerConfig
    from softspoken.serve.run import run

    limits = Limits(upload_mb=max_upload_mb, longest_s=60 * max_minutes, requests=max_requests, rows=rows)
    config = ServerConfig(host=host, port=port, keys=keys, data=data, origins=tuple(origin or ()), limits=limits)
    if keys is None and host not in LOOPBACK:
        typer.echo(
            f"softspoken: warning: whoever reaches {host}:{port} may use it and its voices; give --keys", err=True
        )
    backend = EngineBackend.load(prompts, backbone, device, engine.value, precision.value if precision else None)
    app = create_app(backend, config)
    typer.echo(f"softspoken: {backend.model} at http://{host}:{port}/", err=True)
    run(app, config)


def _require_store(data: str | None) -> None:
    """Raise EnrolmentError for a database that cannot be read, ConfigError for no folder, before a model is loaded."""
    from softspoken.errors import ConfigError
    from softspoken.speakers import EnrolmentStore
    from softspoken.speakers.store.postgres import SCHEMES

    if data is not None and data.startswith(SCHEMES):
        EnrolmentStore(data).exists()
    elif data is not None and Path(data).exists() and not Path(data).is_dir():
        raise ConfigError(f"--data {data} is a file; give a folder, or a database, as postgresql://...")


def _require_server(host: str, port: int) -> None:
    """Raise MissingExtra without a server, ConfigError where none could listen, before a model is loaded."""
    import socket

    from softspoken.errors import ConfigError, MissingExtra

    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtra(error.name or "fastapi", "serve", "the server") from None
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port} ({error.strerror}); give another --port or --host") from None
