"""Google's store: whether there are credentials for it, and what its library logs."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROTOCOLS = frozenset({"gs", "gcs"})
_NAMED = {"token", "endpoint_url"}
"""Options of the user's configuration that say how to sign in, or that the store is another."""
_TOKENS = "~/.gcs_tokens"
"""Where gcsfs keeps what a browser has signed in."""


def missing_credentials(configured: Mapping[str, Any]) -> str:
    """Return why nothing can be written to Google's store; empty if there may be credentials.

    gcsfs itself goes on without any then, and tries each request for half a minute.
    """
    named = _NAMED & configured.keys() or "STORAGE_EMULATOR_HOST" in os.environ
    if named or Path(_TOKENS).expanduser().exists():
        return ""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        google.auth.default()
    except DefaultCredentialsError as error:
        return " ".join(str(error).split()).rstrip(".")
    return ""


def log_nothing() -> None:
    """Keep gcsfs from printing tracebacks of requests that it, and we, try again."""
    logger = logging.getLogger("gcsfs")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def has_been_retried(error: BaseException) -> bool:
    """Return whether gcsfs could not connect: it has tried six times, in half a minute."""
    return type(error).__name__.startswith("ClientConnector")
