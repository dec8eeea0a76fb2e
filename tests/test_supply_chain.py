"""What comes from elsewhere is pinned, and its licences are known."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import softspoken
from softspoken.errors import BackboneError
from softspoken.packages import PinnedPackage
from softspoken.speakers import silero

SOURCE = Path(softspoken.__file__).parent
TOOLS = SOURCE.parent.parent / "tools"


def pinned() -> list[str]:
    """Every hash that a `PinnedPackage` is made with in the source."""
    calls = [
        node
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == PinnedPackage.__name__
    ]
    return [ast.literal_eval(call.args[2]) for call in calls]


def test_every_package_of_weights_is_pinned_by_its_hash() -> None:
    hashes = pinned()
    assert len(hashes) >= 5
    assert len(set(hashes)) == len(hashes)
    assert all(len(value) == 64 and set(value) <= set("0123456789abcdef") for value in hashes)


def test_other_weights_of_the_speech_detector_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    content = bytearray(silero.weights_file().read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackboneError, match="its digest is another one"):
        silero._network(path)


def test_licences_of_everything_installed_are_known_and_permissive(tmp_path: Path) -> None:
    out = tmp_path / "sbom.json"
    done = subprocess.run(
        [sys.executable, str(TOOLS / "sbom.py"), "--extra", "all", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"purl": "pkg:pypi/numpy@' in out.read_text()
