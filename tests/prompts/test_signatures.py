"""Signatures: only the very folder that a trusted key has signed passes."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from softspoken.errors import ConfigError, PromptDamaged, PromptNotTrusted
from softspoken.prompts.checkpoint import load_prompts
from softspoken.prompts.folder import CARD_FILE
from softspoken.prompts.integrity import INTEGRITY_FILE
from softspoken.prompts.signatures import SIGNATURE_FILE, make_key, sign, signer, trust, trust_store
from softspoken_lab.measures.silence_fit import store_silence


@pytest.fixture(autouse=True)
def _own_trust_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTSPOKEN_TRUST", str(tmp_path / "trusted"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.fixture
def signed(stored: Path, key: Path) -> Path:
    sign(stored, key)
    return stored


def public(key: Path) -> Path:
    return key.with_name(key.name + ".pub")


def test_a_key_is_for_its_owner_alone_and_is_never_replaced(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    with pytest.raises(ConfigError, match="there already"):
        make_key(key)
    assert key.read_bytes() == before


def test_whom_one_trusts(signed: Path, key: Path, tmp_path: Path) -> None:
    assert signer(signed, public(key)) == "mine"
    with pytest.raises(PromptNotTrusted, match=r"one of the 0 keys.*prompt trust"):
        signer(signed)
    assert trust(public(key), "anna") == "anna"
    assert signer(signed) == "anna"
    assert [path.name for path in trust_store().iterdir()] == ["anna.pub"]
    make_key(tmp_path / "other")
    with pytest.raises(PromptNotTrusted, match="expected the key in"):
        signer(signed, public(tmp_path / "other"))
    with pytest.raises(ConfigError, match="stands for another key"):
        trust(public(tmp_path / "other"), "anna")
    with pytest.raises(ConfigError, match="cannot name a key"):
        trust(public(key), "../anna")
    # A signed prompt is loaded as any other.
    load_prompts(signed)


def test_a_prompt_without_a_signature(stored: Path) -> None:
    with pytest.raises(PromptNotTrusted, match="is not signed"):
        signer(stored)


def test_every_byte_of_the_signature_counts(signed: Path, key: Path) -> None:
    path = signed / SIGNATURE_FILE
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises((PromptDamaged, PromptNotTrusted)):
            signer(signed, public(key))
    path.write_bytes(content)
    assert signer(signed, public(key)) == "mine"


def test_a_changed_prompt_is_not_the_signed_one(signed: Path, key: Path, tmp_path: Path) -> None:
    """Sealed again, as anybody can: whole, but not what was signed."""
    shutil.copytree(signed, tmp_path / "copy")
    store_silence(signed, None, signed)
    with pytest.raises(PromptNotTrusted, match="is not signed"):
        signer(signed, public(key))
    (tmp_path / "copy" / CARD_FILE).write_text("another card")
    shutil.copy(tmp_path / "copy" / SIGNATURE_FILE, signed / SIGNATURE_FILE)
    assert signer(signed, public(key)) == "mine"
    (signed / INTEGRITY_FILE).write_bytes((signed / INTEGRITY_FILE).read_bytes() + b" ")
    with pytest.raises(PromptDamaged, match="not a signature of this folder"):
        signer(signed, public(key))
    with pytest.raises(PromptDamaged, match="was changed"):
        sign(signed, key)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")
def test_keys_of_ssh_will_do(stored: Path, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "ssh")], check=True)
    sign(stored, tmp_path / "ssh")
    trust(tmp_path / "ssh.pub")
    assert signer(stored) == "ssh"


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key(stored: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(ConfigError, match="no private key"):
        sign(stored, tmp_path / "bad")
    with pytest.raises(ConfigError, match="no public key"):
        trust(tmp_path / "bad")
    with pytest.raises(ConfigError, match="cannot read the key"):
        sign(stored, tmp_path / "absent")
