"""Who vouches for a stored folder: Ed25519 signatures (RFC 8032) over its `integrity.json`, and whose keys are trusted.

Keys are files: a private one in PEM (PKCS #8) or as `ssh-keygen -t ed25519` writes it, without a passphrase; its public
one beside it, with `.pub` behind the name. The trust store is a folder of public keys.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_config_path
from pydantic import Field, ValidationError

from softspoken.errors import ConfigError, MissingExtra, PromptDamaged, PromptError, PromptNotTrusted
from softspoken.files import replace_bytes
from softspoken.frozen import Frozen
from softspoken.prompts.integrity import AGAIN, INTEGRITY_FILE, read_integrity

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_FILE = "signature.json"
_FORMAT = "softspoken-signature-1"
_NAME = re.compile(r"\w[\w.@-]*")
_PUBLIC = ".pub"


class Signature(Frozen):
    """The content of `signature.json`."""

    format: str = _FORMAT
    public_key: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Raw Ed25519 key. Hexadecimal, for base64 has several spellings of the same bytes."""
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")
    """Over the bytes of `integrity.json`."""

    def written(self) -> bytes:
        """The only spelling that is read again."""
        return self.model_dump_json(indent=1).encode() + b"\n"


def trust_store() -> Path:
    """The folder of public keys that are trusted: `$SOFTSPOKEN_TRUST`, else one in the user's configuration."""
    chosen = os.environ.get("SOFTSPOKEN_TRUST")
    return Path(chosen).expanduser() if chosen else user_config_path("softspoken") / "trusted"


def make_key(path: Path) -> Path:
    """Write a new private key, which only its owner can read, and its public one beside it. Returns the public one's
    path. Raises ConfigError when there is such a file already, or it cannot be written."""
    serialization = _library().hazmat.primitives.serialization
    public = path.with_name(path.name + _PUBLIC)
    key = _ed25519().Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    if public.exists():
        raise ConfigError(f"'{public}' is there already; name another file")
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
        replace_bytes(public, _as_file(key.public_key()))
    except FileExistsError as error:
        raise ConfigError(f"'{path}' is there already; name another file") from error
    except OSError as error:
        raise ConfigError(f"cannot write the key '{path}' ({error.strerror}); name a file in a folder") from error
    return public


def trust(public: Path, name: str | None = None) -> str:
    """Put a public key into the trust store, under its file's name unless another is given. Returns the name.

    Raises ConfigError when it is no public key, or when the name stands for another key already."""
    key = _as_file(_public_key(public))
    chosen = public.stem if name is None else name
    if not _NAME.fullmatch(chosen):
        raise ConfigError(f"'{chosen}' cannot name a key; use letters, digits, '.', '-', '_', '@'")
    place = trust_store() / (chosen + _PUBLIC)
    if place.is_file() and place.read_bytes() != key:
        raise ConfigError(f"'{chosen}' stands for another key ('{place}'); give another name, or remove that file")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(place, key)
    except OSError as error:
        raise ConfigError(f"cannot write '{place}' ({error.strerror}); give a folder in SOFTSPOKEN_TRUST") from error
    return chosen


def sign(folder: Path, private: Path) -> None:
    """Sign a stored folder, in place. It is not checked here; see `load_prompts`.

    Raises PromptDamaged when its `integrity.json` is missing or changed, ConfigError when the key cannot be used.
    """
    key = _private_key(private)
    read_integrity(folder)
    made = key.sign((folder / INTEGRITY_FILE).read_bytes())
    content = Signature(public_key=key.public_key().public_bytes_raw().hex(), signature=made.hex()).written()
    try:
        replace_bytes(folder / SIGNATURE_FILE, content)
    except OSError as error:
        raise PromptError(f"cannot sign '{folder}' ({error.strerror}); give a folder that can be written") from error


def signer(folder: Path, public: Path | None = None) -> str:
    """Who signed a stored folder: the name of the trusted key; `public`: this key instead of those in the trust store.

    Raises PromptNotTrusted when it is not signed, or by none of these keys, PromptDamaged when the signature does not
    belong to the folder.
    """
    try:
        written = (folder / SIGNATURE_FILE).read_bytes()
    except OSError as error:
        raise PromptNotTrusted(f"'{folder}' is not signed; ask its author for a signed one") from error
    try:
        claimed = Signature.model_validate_json(written)
        key = _ed25519().Ed25519PublicKey.from_public_bytes(bytes.fromhex(claimed.public_key))
        if claimed.written() != written or claimed.format != _FORMAT:
            raise ValueError("another spelling")
        key.verify(bytes.fromhex(claimed.signature), (folder / INTEGRITY_FILE).read_bytes())
    except (ValidationError, ValueError, OSError, _library().exceptions.InvalidSignature) as error:
        raise PromptDamaged(
            f"'{folder}': {SIGNATURE_FILE} is not a signature of this folder; refused; {AGAIN}"
        ) from error
    trusted = sorted(trust_store().glob(f"*{_PUBLIC}")) if public is None else [public]
    for path in trusted:
        if _public_key(path).public_bytes_raw() == key.public_bytes_raw():
            return path.stem
    whom = f"the key in '{public}'" if public is not None else f"one of the {len(trusted)} keys in '{trust_store()}'"
    raise PromptNotTrusted(
        f"'{folder}' is signed by the key {claimed.public_key}, expected {whom}; "
        "if you trust it: softspoken prompt trust KEY.pub"
    )


def _library() -> Any:
    try:
        import cryptography.exceptions
        import cryptography.hazmat.primitives.serialization
    except ImportError:
        raise MissingExtra("cryptography", "sign", "a signature") from None
    return cryptography


def _ed25519() -> Any:
    _library()
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519


def _private_key(path: Path) -> "Ed25519PrivateKey":
    serialization = _library().hazmat.primitives.serialization
    try:
        content = path.read_bytes()
        openssh = content.startswith(b"-----BEGIN OPENSSH")
        load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
        key = load(content, password=None)
    except OSError as error:
        raise ConfigError(f"cannot read the key '{path}' ({error.strerror}); make one: prompt keygen FILE") from error
    except (ValueError, TypeError, _library().exceptions.UnsupportedAlgorithm) as error:
        raise ConfigError(f"'{path}' is no private key without a passphrase; make one: prompt keygen FILE") from error
    if not isinstance(key, _ed25519().Ed25519PrivateKey):
        raise ConfigError(f"'{path}' is a key of another kind, expected Ed25519; make one: prompt keygen FILE")
    return key


def _public_key(path: Path) -> "Ed25519PublicKey":
    serialization = _library().hazmat.primitives.serialization
    try:
        content = path.read_bytes()
        load = serialization.load_ssh_public_key if content.startswith(b"ssh-") else serialization.load_pem_public_key
        key = load(content)
    except OSError as error:
        raise ConfigError(f"cannot read the key '{path}' ({error.strerror}); give a file that ends in .pub") from error
    except (ValueError, TypeError, _library().exceptions.UnsupportedAlgorithm) as error:
        raise ConfigError(f"'{path}' is no public key; give the file that ends in .pub") from error
    if not isinstance(key, _ed25519().Ed25519PublicKey):
        raise ConfigError(f"'{path}' is a key of another kind, expected Ed25519; give another one")
    return key


def _as_file(key: Any) -> bytes:
    serialization = _library().hazmat.primitives.serialization
    written: bytes = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return written
