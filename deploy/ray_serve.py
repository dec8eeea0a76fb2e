"""The server on a Ray cluster: more replicas where requests queue, fewer where they do not.

    pip install 'softspoken[serve,media,postgres]' 'ray[serve]'      # on every machine
    cd deploy && serve run --working-dir . ray_serve:build data=postgresql://server@db/voices keys=/etc/softspoken/keys

All machines need the models, in their caches, and the file of keys under the same name; the voices are in the database.
"""

from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
from ray.serve import Application


class Arguments(BaseModel, extra="forbid"):
    """What `serve run` is given, as NAME=VALUE."""

    data: str
    """A database of voices, as postgresql://..., which all replicas share."""
    keys: Path | None = None
    """File with a line NAME KEY for each user; None: whoever reaches the server may use it."""
    prompt: str = "shipped"
    backbone: str | None = None
    device: str = "cpu"
    cores: float = 2
    """Of each replica."""
    replicas: int = 10
    """At most."""
    queue: float = 4
    """Requests, waiting and running, for each replica; more of them start another replica."""


def build(arguments: Arguments) -> Application:
    """The application for `serve run`."""

    def replica() -> FastAPI:
        from softspoken.serve.app import create_app
        from softspoken.serve.backend import EngineBackend
        from softspoken.serve.config import ServerConfig

        backend = EngineBackend.load([arguments.prompt], arguments.backbone, arguments.device)
        return create_app(backend, ServerConfig(data=arguments.data, keys=arguments.keys))

    deployment = serve.deployment(
        serve.ingress(replica)(),
        name="softspoken",
        ray_actor_options={"num_cpus": arguments.cores, "num_gpus": int(arguments.device.startswith("cuda"))},
        # The queue is in front of the replicas, so that a new one gets its part of it.
        max_ongoing_requests=round(2 * arguments.queue),
        autoscaling_config={
            "min_replicas": 1,
            "max_replicas": arguments.replicas,
            "target_ongoing_requests": arguments.queue,
        },
        graceful_shutdown_timeout_s=60,
    )
    return deployment.bind()
