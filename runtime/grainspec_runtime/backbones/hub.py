"""Folders of models: there already, or fetched from the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from grainspec.diagnostics import fail
from grainspec.nodes import Span


def folder_of(
    name: str,
    base: Path,
    patterns: Sequence[str],
    *,
    what: str,
    example: str,
    span: Span | None = None,
) -> Path:
    """The folder of a model: a path, relative to ``base`` or absolute, or a hub id to fetch.

    ``patterns`` are the files to fetch; ``what`` names the model in messages, as “the ControlNet”,
    and ``example`` says how another is named. Raises GrainError: G502 no such folder, G503 cannot
    be fetched.

    >>> folder_of(".", Path("/"), [], what="the model", example="").as_posix()
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
        message = f"there is no folder {base / name} for {what}"
        raise fail("G502", message, f"Name a folder or a hub id: {example}.", span)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:
        # The hub's client raises dozens of kinds, down to those of its HTTP library.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        message = f"{what} {name} is neither a folder here nor to be had from the hub: {reason}"
        cure = (
            "Check its name and your network, or download it elsewhere and name the folder: "
            f"{example}."
        )
        raise fail("G503", message, cure, span) from error
