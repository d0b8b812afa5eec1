"""Identify checkpoints by their files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from grainspec_runtime.models.additions import digest

_SMALL = 1 << 22
"""Files up to this many bytes are identified by their content."""


def fingerprint(folder: Path, weights: Path | None = None) -> list[object]:
    """Identify the checkpoint in a folder by its files, and by those of ``weights`` elsewhere.

    Small files, such as configurations, are identified by their content; weights by path, size and
    date, because reading gigabytes of unchanged files would take as long as the inversion.
    """
    identity = file_facts(folder, "*/*")
    if weights:
        facts = weights.stat()
        identity.append([str(weights.resolve()), facts.st_size, facts.st_mtime_ns])
    return identity


def file_facts(folder: Path, pattern: str = "*") -> list[object]:
    """Identify the files of a folder: small ones by content, others by path, size and date."""
    folder = folder.resolve()
    identity: list[object] = []
    for file in sorted(path for path in folder.glob(pattern) if path.is_file()):
        name, facts = file.relative_to(folder).as_posix(), file.stat()
        if facts.st_size <= _SMALL:
            identity.append([name, digest(file)])
        else:
            identity.append([name, str(folder), facts.st_size, facts.st_mtime_ns])
    return identity


def content_digest(folder: Path) -> str:
    """Compute a hash of the names and contents of all files in a folder."""
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(f"{file.relative_to(folder).as_posix()} {digest(file)}\n".encode())
    return whole.hexdigest()
