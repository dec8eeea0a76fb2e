"""A transcription as server-sent events: deltas, segments, the whole text, `[DONE]`."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from softspoken.decoding.result import UNSPACED
from softspoken.serve.answers import TextDelta, TextDone, diarized_segment, in_order, plain, text_of
from softspoken.serve.problems import Problem, took_too_long
from softspoken.serve.scheduler import Ticket
from softspoken.serve.work import Spoken

_QUIET_S = 10.0
"""After which a comment tells proxies, and us, that somebody is still there."""


class EventStream(StreamingResponse):
    """Server-sent events. What the request held is let go when the stream ends, however it ends."""

    def __init__(self, events: AsyncIterator[str], held: AsyncExitStack, headers: dict[str, str]) -> None:
        careful = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers}
        super().__init__(events, media_type="text/event-stream", headers=careful)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)


async def events(ticket: Ticket, language: str, limit_s: float, *, diarised: bool) -> AsyncIterator[str]:
    """What is heard, as it is heard. Comments, which clients skip, say how far the recording is done (`: 12.3 of 60.0`)
    and when the next delta is said (`: from 1.20 to 3.40`)."""
    spoken: list[Spoken] = []
    ends = time.monotonic() + limit_s
    yield _comment(0.0, ticket)
    try:
        while True:
            left_s = ends - time.monotonic()
            try:
                heard = await ticket.next(min(_QUIET_S, left_s))
            except TimeoutError:
                if left_s <= _QUIET_S:
                    raise took_too_long(limit_s) from None
                yield ": still there\n\n"
                continue
            if heard is None:
                break
            for one in in_order(heard.spoken):
                for event in _of(one, len(spoken), language, diarised):
                    yield event
                spoken.append(one)
            yield _comment(heard.done_s, ticket)
        yield _event(plain(TextDone(text=text_of(spoken, language))))
    except Problem as error:
        yield _event(error.body)
    yield "data: [DONE]\n\n"


def _of(one: Spoken, number: int, language: str, diarised: bool) -> list[str]:
    segment = diarized_segment(number, one)
    separator = "" if number == 0 or language in UNSPACED else " "
    delta = TextDelta(delta=separator + one.text, segment_id=segment.id if diarised else None)
    times = f": from {one.start_s:.2f} to {one.end_s:.2f}\n\n"
    return [times, _event(plain(delta)), *([_event(plain(segment))] if diarised else [])]


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _comment(done_s: float, ticket: Ticket) -> str:
    return f": {done_s:.1f} of {ticket.seconds:.1f}\n\n"
