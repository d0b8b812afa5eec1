"""The fingerprint of an engine's weights, by which other weights in the same folder are noticed.

Nothing is loaded. A file of more than 256 MB is hashed in pieces, as clips are.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path, PurePath

from grainspec.regions.tracked.clip_hash import file_hash
from grainspec.regions.tracked.manifest import EngineRecord

_MARK = " hash:"


def named(name: str, folder: Path) -> str:
    """The name of weights and their fingerprint, as the manifest of tracked masks has them."""
    return f"{name}{_MARK}{fingerprint(folder)}"


def fingerprint(folder: Path) -> str:
    """Hash the configuration and the weights in a folder. Raises OSError if one cannot be read."""
    whole = hashlib.sha256()
    for file in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
        facts = file.stat()
        digest = file_hash(file.resolve(), facts.st_size, facts.st_mtime_ns)
        whole.update(f"{file.name} {digest}\n".encode())
    return whole.hexdigest()[:16]


def changed_weights(used: EngineRecord, engine: str, weights: str | None, base: Path) -> str:
    """Say that the weights in a folder are not those that were used; empty if they are.

    ``engine`` and ``weights`` are those that a spec states, relative to ``base``. Empty as well for
    another engine, for weights of the hub, and for a folder that is gone: the masks are there.
    """
    name, _, known = used.weights.partition(_MARK)
    if used.name != engine or not weights or not known or not _ends(name, weights):
        return ""
    with suppress(OSError, ValueError):  # loading says what is wrong with them
        if fingerprint(base / weights) != known:
            return f"the weights of {engine} in {name} changed"
    return ""


def _ends(path: str, end: str) -> bool:
    """Whether a path ends in another one: the folder of the spec may have been named otherwise."""
    last = PurePath(end).parts
    return PurePath(path).parts[-len(last) :] == last
