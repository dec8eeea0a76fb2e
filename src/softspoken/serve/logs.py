"""Logs as lines of JSON: what was asked and how it went, without words, names of voices, keys or file names."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("softspoken.serve")


class JsonLines(logging.Formatter):
    """One object a line; what stands in `extra={"facts": {...}}` is added."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= getattr(record, "facts", {})
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def write_json_lines() -> None:
    """The server's own lines and uvicorn's go to stderr, one object a line.

    What other parts of softspoken say of recordings is left out: it names files.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    others = logging.getLogger("softspoken")
    others.handlers, others.propagate = [logging.NullHandler()], False
    LOGGER.handlers, LOGGER.propagate = [handler], False
    LOGGER.setLevel(logging.INFO)


def request(facts: dict[str, Any]) -> None:
    """A request that is over."""
    LOGGER.info("request", extra={"facts": facts})
