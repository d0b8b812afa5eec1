"""Folders of models: there already, or fetched from the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from grainspec.diagnostics import fail, reason_of
from grainspec.diagnostics.span import Span


def folder_of(
    name: str,
    base: Path,
    patterns: Sequence[str],
    *,
    what: str,
    missing: str,
    unreachable: str,
    span: Span | None = None,
) -> Path:
    """The folder of a model: a path, relative to ``base`` or absolute, or a hub id to fetch.

    ``patterns`` are the files to fetch; ``what`` names the model in messages, as “the ControlNet”.
    Raises GrainError: G502 no such folder, with the cure ``missing``; G503 cannot be fetched, with
    the cure ``unreachable``.

    >>> folder_of(".", Path("/"), [], what="the model", missing="", unreachable="").as_posix()
    '/'
    """
    try:
        folder = base / Path(name).expanduser()
        there = folder.is_dir()
    except (RuntimeError, OSError):  # no such user; a name longer than any file's
        there = False
    if there:
        return folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith("."):
        message = f"there is no {what.removeprefix('the ')} folder {base / name}"
        raise fail("G502", message, missing, span)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:
        # The hub's client raises dozens of kinds, down to those of its HTTP library.
        reason = reason_of(error)
        message = f"{what} {name} is neither a folder here nor to be had from the hub: {reason}"
        raise fail("G503", message, unreachable, span) from error


def or_elsewhere(example: str) -> str:
    """The cure for a model that cannot be fetched; ``example`` shows how its folder is named.

    >>> or_elsewhere("`--clip mine`")
    'Check its name and your network, or download it elsewhere and name the folder: `--clip mine`.'
    """
    return (
        f"Check its name and your network, or download it elsewhere and name the folder: {example}."
    )
