"""Paths in commands that a reader pastes into a shell."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from shlex import quote

from grainspec.diagnostics.diagnostic import UNSAFE

_ESCAPED = re.compile(rf"{UNSAFE.pattern}|[\\']")


def shell_path(path: str | PurePath) -> str:
    r"""A path as one word of a POSIX shell that no command takes for an option.

    A name with characters that a terminal must not print is written with escapes, ``$'…'``, which
    bash, zsh and ksh read.

    >>> [shell_path(path) for path in ("a.grain", "my clip.grain", "-dash.grain", "a\tb")]
    ['a.grain', "'my clip.grain'", './-dash.grain', "$'a\\x09b'"]
    """
    text = str(path)
    if text.startswith("-"):
        text = f"./{text}"
    return f"$'{_ESCAPED.sub(_escaped, text)}'" if UNSAFE.search(text) else quote(text)


def _escaped(match: re.Match[str]) -> str:
    sign = match[0]
    if sign in "\\'":
        return f"\\{sign}"
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(sign))
