"""Logs: one JSON object a line, on stderr. No password, hash or salt ever stands in one."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog

_SECRET: Final = re.compile(r"(password|hash|salt)(_\d+)?", re.IGNORECASE)
"""Names of what is dropped: the columns of SetCredential too. The hash of a batch is logged as `head`."""


def drop_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: every key named password, hash or salt is dropped, however deep it stands."""
    return {key: _without(value) for key, value in event.items() if not _is_secret(key)}


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(inner) for key, inner in value.items() if not _is_secret(key)}
    if isinstance(value, list | tuple):
        return [_without(inner) for inner in value]
    return value


def _is_secret(key: object) -> bool:
    return isinstance(key, str) and _SECRET.fullmatch(key) is not None


def configure(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Log to a stream, stderr if there is none, from a level on. Call it once, when the process starts."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            # Text, and not the frames' variables: those may hold a password.
            structlog.processors.format_exc_info,
            drop_secrets,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
