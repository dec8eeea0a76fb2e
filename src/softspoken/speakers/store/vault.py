"""The key of an encrypted store of voices, and what is done with it: AES-256-GCM and HMAC of `cryptography`.

A key is 32 random bytes, in a file of its owner or in the system's keyring. Without it nothing of a voice can be read,
not even its name: what is in the store then is how many voices there are, and about how long their clips.
"""

import base64
import hmac
import os
import secrets
from importlib import import_module
from pathlib import Path
from typing import Any

from softspoken.errors import EnrolmentError, MissingExtra

KEY_VARIABLE = "SOFTSPOKEN_KEY"
KEYRING = "keyring"
"""In place of a key file: the system's keyring."""
_SERVICE = "softspoken voices"
_KEY_BYTES, _NONCE_BYTES = 32, 12
_PROOF = b"the key of this store"


class Vault:
    """Seals and opens with one key."""

    def __init__(self, key: bytes) -> None:
        """Raises MissingExtra without `cryptography`."""
        aead = _library("cryptography.hazmat.primitives.ciphers.aead", "cryptography")
        # One key for names, one for what is sealed.
        self._names, sealing = (hmac.digest(key, use, "sha256") for use in (b"names", b"contents"))
        self._cipher = aead.AESGCM(sealing)

    def alias(self, name: str) -> str:
        """The same for the same name; says nothing of it to whoever lacks the key."""
        return hmac.digest(self._names, name.encode(), "sha256").hex()

    def seal(self, content: bytes, about: str) -> bytes:
        """`about`: where it belongs; put elsewhere, it does not open."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + bytes(self._cipher.encrypt(nonce, content, about.encode()))

    def open(self, sealed: bytes, about: str) -> bytes:
        """Raises EnrolmentError for what was sealed with another key or elsewhere, or was changed."""
        invalid = import_module("cryptography.exceptions").InvalidTag
        try:
            return bytes(self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about.encode()))
        except (invalid, TypeError, ValueError):
            what = about.partition(" ")[0]
            raise EnrolmentError(f"a {what} in the store was changed, or sealed with another key: refused") from None

    def proof(self) -> bytes:
        """Kept beside what is sealed, to tell a wrong key at once."""
        return self.seal(_PROOF, "proof")

    def opens(self, proof: bytes) -> bool:
        """Whether this is the key that made `proof`."""
        try:
            return self.open(proof, "proof") == _PROOF
        except EnrolmentError:
            return False


def new_key(place: str, about: str) -> tuple[str, bytes]:
    """The key at `place`, a file or 'keyring', made where there is none; the place as the store keeps it, and the key.

    `about`: in the keyring, whose key it is. Raises EnrolmentError for a place where no key can be kept.
    """
    if place == KEYRING:
        entry = f"{about} {secrets.token_hex(4)}"
        key = os.urandom(_KEY_BYTES)
        _keyring("set_password", entry, base64.b64encode(key).decode())
        return f"{KEYRING}:{entry}", key
    path = Path(place).expanduser().absolute()
    try:
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(base64.b64encode(os.urandom(_KEY_BYTES)).decode() + "\n")
    except OSError as error:
        raise EnrolmentError(f"cannot write the key to {path}: {error.strerror}; name another file") from None
    return f"file:{path}", _read_key(path)


def key_at(place: str) -> bytes:
    """The key that the store says is at `place`; $SOFTSPOKEN_KEY names another file. Raises EnrolmentError without."""
    elsewhere = os.environ.get(KEY_VARIABLE, "")
    if elsewhere:
        return _read_key(Path(elsewhere).expanduser())
    kind, _, where = place.partition(":")
    if kind != KEYRING:
        return _read_key(Path(where))
    kept = _keyring("get_password", where)
    if kept is None:
        raise EnrolmentError(f"the keyring has no key '{where}': unlock it, or name a key file by {KEY_VARIABLE}")
    return _decoded(kept, "the keyring")


def forget_key(place: str) -> None:
    """Take a key that nothing needs any more out of the keyring; a file is left to its owner."""
    kind, _, where = place.partition(":")
    if kind == KEYRING:
        _keyring("delete_password", where)


def _read_key(path: Path) -> bytes:
    try:
        return _decoded(path.read_text("ascii"), str(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise EnrolmentError(f"cannot read the key {path} ({reason}): put it there, or set {KEY_VARIABLE}") from None


def _decoded(text: str, place: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise EnrolmentError(f"{place} holds no key of a store (32 bytes in base64): name the right one")
    return key


def _keyring(verb: str, *values: str) -> Any:
    keyring = _library("keyring", "keyring")
    try:
        return getattr(keyring, verb)(_SERVICE, *values)
    except keyring.errors.KeyringError as error:
        raise EnrolmentError(f"the system's keyring cannot be used ({error}): give a key file instead") from None


def _library(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtra(package, "encrypt", "an encrypted store of voices") from None
