"""Who may use the server, and whose voices are whose: a store for each key, or one for everybody."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import platformdirs
from starlette.requests import HTTPConnection

from softspoken.errors import ConfigError
from softspoken.serve.problems import Problem
from softspoken.speakers import EnrolmentStore
from softspoken.speakers.store.postgres import SCHEMES, store_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SHORTEST_KEY = 16
SOCKET_KEY = "openai-insecure-api-key."
"""In front of a key among a socket's protocols, as OpenAI's own pages have it."""


@dataclass(frozen=True)
class User:
    """A user and their voices."""

    name: str
    store: EnrolmentStore


class Users:
    """From a bearer key to a user."""

    def __init__(self, keys: dict[str, str] | None, data: str | Path | None = None) -> None:
        """`keys`: name to key; None: everybody is one user. `data`: a folder or a database for their voices.

        Raises EnrolmentError for a URL that is none, and a name that is too long for a schema of the database.
        """
        self._everybody = User("everybody", _store(data, None))
        self._digests: dict[bytes, User] | None = None
        if keys is not None:
            self._digests = {_digest(key): User(name, _store(data, name)) for name, key in keys.items()}

    @property
    def open(self) -> bool:
        """Whether no key is needed."""
        return self._digests is None

    def of(self, connection: HTTPConnection) -> User:
        """Who asks. Raises Problem (401) without a valid key."""
        if self._digests is None:
            return self._everybody
        digest = _digest(_key_of(connection))
        for known, user in self._digests.items():
            if hmac.compare_digest(known, digest):
                return user
        told = "no valid key: send the header 'Authorization: Bearer KEY' with a key of this server"
        raise Problem(401, told, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


def _store(data: str | Path | None, name: str | None) -> EnrolmentStore:
    """Of one user, or of everybody (None): a file in a folder, or a schema of a database."""
    if isinstance(data, str) and data.startswith(SCHEMES):
        return EnrolmentStore(data if name is None else store_of(data, name))
    if name is None:
        return EnrolmentStore(None if data is None else Path(data) / "voices.db")
    folder = Path(platformdirs.user_data_dir("softspoken")) / "serve" if data is None else Path(data)
    return EnrolmentStore(folder / name / "voices.db")


def _key_of(connection: HTTPConnection) -> str:
    """From the header, or, as pages cannot set it for a socket, from the protocols that a socket offers."""
    kind, _, key = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return key.strip()
    offered = connection.headers.get("sec-websocket-protocol", "").split(",")
    # A page escapes what may not stand in a protocol's name, such as / and =.
    named = [unquote(one.strip().removeprefix(SOCKET_KEY)) for one in offered if one.strip().startswith(SOCKET_KEY)]
    return named[0] if named and connection.scope["type"] == "websocket" else ""


def read_keys(path: Path) -> dict[str, str]:
    """Name to key from a file with lines `NAME KEY`; empty ones and those that begin with # say nothing.

    Raises ConfigError for a file that cannot be read, has no key, or a line that is not like that.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the keys in {path} ({type(error).__name__}); name a text file") from None
    keys: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        if len(parts) != 2 or not _NAME.fullmatch(parts[0]) or parts[0] in keys or parts[1] in keys.values():
            expected = "a new name (letters, digits, . _ -) and a new key, with a space between"
            raise ConfigError(f"line {number} of {path}: expected {expected}")
        if len(parts[1]) < _SHORTEST_KEY:
            raise ConfigError(
                f"line {number} of {path}: a key of {len(parts[1])} characters; give {_SHORTEST_KEY} or more"
            )
        keys[parts[0]] = parts[1]
    if not keys:
        raise ConfigError(f"no key in {path}; write a line such as: ada {'x' * 8}...")
    return keys


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
