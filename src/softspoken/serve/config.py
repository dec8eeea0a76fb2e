"""How a server is set up: one frozen set of choices, the only place where the defaults are written."""

from pathlib import Path

from pydantic import Field

from softspoken.frozen import Frozen

MEGABYTE = 1_000_000
LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Where only this machine reaches a server."""


class Limits(Frozen):
    """What one request, and all of them together, may ask for."""

    upload_mb: int = Field(default=200, ge=1)
    """Of a whole request, recording and all."""
    memory_mb: int = Field(default=32, ge=1)
    """A larger upload waits in an unnamed temporary file instead of in memory."""
    longest_s: float = Field(default=2 * 3600.0, gt=0)
    """Of a recording."""
    request_s: float = Field(default=3600.0, gt=0)
    """From the last byte of the upload to the last word."""
    silent_client_s: float = Field(default=30.0, gt=0)
    """For which a client may send nothing while it owes us a request."""
    requests: int = Field(default=64, ge=1)
    """At once, waiting and running; more are told to come back later."""
    held_s: float = Field(default=6 * 3600.0, gt=0)
    """Seconds of audio in memory, all requests together (an hour takes 230 MB)."""
    sockets: int = Field(default=128, ge=1)
    """Open at once for live sound; one that nothing comes from costs next to nothing."""
    silent_socket_s: float = Field(default=60.0, gt=0)
    """For which nothing may come from a socket. A microphone sends its silence, too."""
    behind_s: float = Field(default=30.0, gt=0)
    """Live sound that waits for the model; more is left to wait with the client."""
    known_speakers: int = Field(default=16, ge=1)
    """In one request."""
    rows: int = Field(default=8, ge=1)
    """Pairs of a window and a voice that are decoded as one batch."""


class ServerConfig(Frozen):
    """A server."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    keys: Path | None = None
    """File with a line `NAME KEY` for each user; None: whoever reaches the server may use it."""
    data: str | Path | None = None
    """Folder with the voices of each user of `keys`, or a database, as 'postgresql://USER:PASSWORD@HOST/DATABASE';
    None: the platform's folder for a user's data."""
    origins: tuple[str, ...] = ()
    """Web pages, such as https://app.example.org, whose scripts may use the server; its own page always may."""
    match_threshold: float = Field(default=0.45, gt=-1.0, lt=1.0)
    """Cosine from which on a talker of a recording is taken for a known voice. Measured with CAM++ on 160 training
    talkers, two clean utterances of 2.5 to 8 s each, on which it was also chosen: 1.9 % of the voices are not known
    again, and by calculation 4.9 % of strangers take the name of one of four known voices (at 0.4: 0.6 and 9.8 %, at
    0.5: 5.6 and 2.5 %)."""
    stop_s: float = Field(default=30.0, ge=0)
    """For which requests in flight may go on after the signal to stop."""
    limits: Limits = Limits()
