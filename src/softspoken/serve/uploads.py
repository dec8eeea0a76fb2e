"""From what a client sends to samples: multipart bodies within limits, recordings decoded in memory."""

import base64
import binascii
import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import BinaryIO

import anyio
import numpy as np
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from softspoken.audio import SAMPLE_RATE_HZ, Recording, require_sound, stream_audio
from softspoken.errors import AudioError, MissingExtra
from softspoken.serve.config import MEGABYTE, Limits
from softspoken.serve.problems import Problem
from softspoken.serve.work import Waveform

_DATA_URL = re.compile(r"data:[\w.+-]*(?:/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*;base64,", re.ASCII)
_LARGEST_FIELD_BYTES = 16 * MEGABYTE
_BLOCK_S = 30.0


class _Parser(MultiPartParser):
    """Keeps files in memory up to a size of our own choice."""

    def __init__(self, request: Request, stream: AsyncGenerator[bytes, None], limits: Limits) -> None:
        super().__init__(request.headers, stream, max_files=32, max_fields=256, max_part_size=_LARGEST_FIELD_BYTES)
        self.spool_max_size = limits.memory_mb * MEGABYTE


async def read_form(request: Request, limits: Limits) -> FormData:
    """The fields and files of a multipart request. Close it after use.

    Raises Problem: not multipart (415), too large (413), malformed (400), or too slow (408).
    """
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        raise Problem(415, f"content type '{kind[:80]}'; expected multipart/form-data with a file")
    if (declared := request.headers.get("content-length", "")).isdecimal():
        _check_size(int(declared), limits)
    try:
        return await _Parser(request, _body(request, limits), limits).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        told = getattr(error, "message", "the multipart body cannot be read")
        raise Problem(400, f"{told}; send the form again") from None
    except OSError:
        raise Problem(507, "no room left to keep the upload while it is read; send a smaller file") from None


async def read_body(request: Request, limits: Limits) -> bytes:
    """A body that is no form, within the same limits."""
    return b"".join([block async for block in _body(request, limits)])


async def _body(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    """The body's blocks, as long as they keep coming and are not too many."""
    blocks, size = request.stream().__aiter__(), 0
    while True:
        try:
            with anyio.fail_after(limits.silent_client_s):
                block = await anext(blocks, None)
        except TimeoutError:
            told = f"nothing came for {limits.silent_client_s:g} s; send the request again"
            raise Problem(408, told, headers={"Connection": "close"}) from None
        except ClientDisconnect:
            raise Problem(499, "the client went away") from None
        if block is None:
            return
        size += len(block)
        _check_size(size, limits)
        yield block


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.upload_mb * MEGABYTE:
        told = f"the request is larger than {limits.upload_mb} MB, the limit of this server; send flac, ogg or mp3"
        raise Problem(413, told, code="too_large", param="file", headers={"Connection": "close"})


def decoded(source: BinaryIO | bytes, name: str, longest_s: float, *, sound: bool = True) -> Waveform:
    """A recording as mono float32 at 16 kHz. `name` is what messages call it; `sound`: refuse silence.

    Raises AudioError for what is no usable recording, Problem (413) for one that lasts longer than `longest_s`.
    """
    recording = replace(Recording.of(source), name=name)
    blocks, total = [], 0
    try:
        for block in stream_audio(recording, _BLOCK_S):
            blocks.append(block)
            total += block.size
            if total > longest_s * SAMPLE_RATE_HZ:
                told = f"'{name}' lasts longer than {longest_s:g} s, the limit of this server; cut it in parts"
                raise Problem(413, told, code="too_long", param="file")
    except MissingExtra:
        raise AudioError(f"this server cannot read '{name}'; send wav, flac, ogg or mp3") from None
    audio = np.concatenate(blocks)
    if sound:
        require_sound(audio, name)
    return audio


def shown_name(name: str | None) -> str:
    """A file's name as it may stand in an answer."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(sign for sign in last if sign.isprintable())[:80] or "recording"


def is_data_url(text: str) -> bool:
    return text.startswith("data:")


def from_data_url(text: str) -> bytes:
    """What a `data:...;base64,...` address holds. Problem (400) for another."""
    head = _DATA_URL.match(text)
    if head is None:
        raise Problem(400, "expected a data URL such as data:audio/wav;base64,...", param="known_speaker_references")
    try:
        return base64.b64decode(text[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise Problem(400, "the data URL holds no valid base64", param="known_speaker_references") from None
