"""Find the folders of models: local ones, or downloads from the Hugging Face Hub."""

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
    """Find the folder of a model: a path, absolute or relative to ``base``, or a hub id.

    ``patterns`` are the files to download; ``what`` names the model in messages, as “the
    ControlNet”. Raises GrainError: G502 if the folder does not exist, with the cure ``missing``;
    G503 if the download fails, with the cure ``unreachable``.

    >>> folder_of(".", Path("/"), [], what="the model", missing="", unreachable="").as_posix()
    '/'
    """
    try:
        folder = base / Path(name).expanduser()
        exists = folder.is_dir()
    except (RuntimeError, OSError):  # no such user; a name longer than file names can be
        exists = False
    if exists:
        return folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith("."):
        message = f"the folder of {what} does not exist: {base / name}"
        raise fail("G502", message, missing, span)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:
        # The Hub's client raises dozens of error types, including those of its HTTP library.
        reason = reason_of(error)
        message = f"{what} {name} is not a folder, and cannot be downloaded: {reason}"
        raise fail("G503", message, unreachable, span) from error


def download_cure(example: str) -> str:
    """Return the cure for a failed download; ``example`` shows where its folder is written.

    >>> download_cure("`--clip mine`")
    'Check its name and the network, or download it elsewhere and write its path: `--clip mine`.'
    """
    return (
        f"Check its name and the network, or download it elsewhere and write its path: {example}."
    )
