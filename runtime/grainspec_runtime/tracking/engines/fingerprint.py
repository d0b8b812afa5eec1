"""The fingerprint of an engine's weights, by which other weights in the same folder are noticed."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from grainspec.regular_file import open_regular

_MARK = " sha256:"


def named(name: str, folder: Path) -> str:
    """The name of weights and their fingerprint, as the manifest of tracked masks has them."""
    return f"{name}{_MARK}{fingerprint(folder)}"


def fingerprint(folder: Path) -> str:
    """Hash the configuration and the weights in a folder. Raises OSError if one cannot be read."""
    whole = hashlib.sha256()
    for file in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
        facts = file.stat()
        whole.update(f"{file.name} {_digest(file, facts.st_size, facts.st_mtime_ns)}\n".encode())
    return whole.hexdigest()[:16]


def parts(weights: str) -> tuple[str, str]:
    """The name and the fingerprint in what :func:`named` returns; both may be empty."""
    name, _, known = weights.partition(_MARK)
    return name, known


@lru_cache(maxsize=64)
def _digest(file: Path, size: int, changed: int) -> str:
    """Hash one file; it is read again only if its size or its date changes."""
    with open_regular(file) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
