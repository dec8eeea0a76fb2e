"""What docs/how-to/serve.md shows runs as it stands, against a server on 127.0.0.1."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_backend import FakeBackend
from served import ADA_HZ, Live, wav
from voices import voice

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")
PROGRAMS = {
    "python": [sys.executable, "-c"],
    "bash": ["bash", "-ec"],
    "js": ["node", "--experimental-websocket", "--input-type=module", "-e"],
}


def snippets() -> list[tuple[str, str]]:
    found = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)
    return [(kind, code) for kind, code in found if kind in PROGRAMS]


@pytest.mark.parametrize(("kind", "code"), snippets(), ids=[kind for kind, _ in snippets()])
def test_snippets_run(kind: str, code: str, live: Live, talk: bytes, tmp_path: Path) -> None:
    needed = "curl" if kind == "bash" else PROGRAMS[kind][0]
    if shutil.which(needed) is None:
        pytest.skip(f"{needed} is not installed: it runs this snippet")
    (tmp_path / "meeting.wav").write_bytes(talk)
    (tmp_path / "ada.wav").write_bytes(wav(voice(5.0, ADA_HZ)))
    assert "//localhost:8000" in code
    command = [*PROGRAMS[kind], code.replace("localhost:8000", f"127.0.0.1:{live.port}")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "word4" in done.stdout
    if "fetch" in code:
        assert "B word2" in done.stdout
    if kind == "bash":
        assert '"deleted":true' in done.stdout


def test_there_is_one_of_each() -> None:
    assert {kind for kind, _ in snippets()} == set(PROGRAMS)


def test_routes_of_the_page_exist(live: Live) -> None:
    """Every path that the table names is one of the server's."""
    known = set(live.server._app.openapi()["paths"]) | {"/openapi.json"}
    # Sockets are none of OpenAPI's; the snippets open them.
    known |= {"/v1/realtime", "/v1/listen"}
    table = PAGE[PAGE.index("| route |") : PAGE.index("A model name")]
    named = set(re.findall(r"`(?:[A-Z]+ )*(/[\w/]*)`|`(?:[A-Z]+) (/[\w/]+)`", table))
    paths = {(one or other).replace("NAME", "{name}") for one, other in named}
    assert paths <= known
    assert {"/v1/audio/transcriptions", "/v1/voices", "/metrics"} <= paths


def test_the_unit_and_the_container_name_options_that_exist() -> None:
    from softspoken.cli.serve import serve

    for file in ("Dockerfile", "deploy/softspoken.service", "deploy/compose.yaml"):
        for option in re.findall(r"serve.*|command: .*", (ROOT / file).read_text()):
            for name in re.findall(r"--([a-z-]+)", option):
                assert name.replace("-", "_") in {*serve.__annotations__, "build"}, (file, name)


def test_a_replica_on_ray_is_the_same_server(
    monkeypatch: pytest.MonkeyPatch, backend: FakeBackend, tmp_path: Path
) -> None:
    """`deploy/ray_serve.py` with what it asks Ray for; Ray Serve itself is none of the development packages."""
    asked: dict[str, Any] = {}

    def deployment(kind: type, **options: Any) -> Any:
        asked.update(options)
        return SimpleNamespace(bind=lambda: kind)

    serve = SimpleNamespace(deployment=deployment, ingress=lambda replica: lambda: replica, Application=object)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(serve=serve))
    monkeypatch.setitem(sys.modules, "ray.serve", serve)
    monkeypatch.setattr("softspoken.serve.backend.EngineBackend.load", lambda prompts, backbone, device: backend)
    (tmp_path / "keys").write_text("ada sk-ada-0123456789\n")
    made = runpy.run_path(str(ROOT / "deploy" / "ray_serve.py"))
    words = {"data": "postgresql://server@db/voices", "keys": str(tmp_path / "keys"), "cores": "4", "queue": "3"}
    app = made["build"](made["Arguments"].model_validate(words))()
    (user,) = app.state.service.users._digests.values()
    assert str(user.store.place) == "postgresql://server@db/voices?schema=softspoken%2Fada"
    assert asked["ray_actor_options"] == {"num_cpus": 4, "num_gpus": 0}
    assert asked["autoscaling_config"]["target_ongoing_requests"] == 3
    assert asked["max_ongoing_requests"] == 6
