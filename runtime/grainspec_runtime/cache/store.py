"""Entries of the cache: tensors by kind and key, with a few words on what they are.

Whatever goes wrong here costs time at most: an entry that cannot be written is not kept, one that
cannot be read is dropped, with a warning, and made again.
"""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from grainspec.diagnostics import Diagnostic, reason_of
from grainspec.whole_file import whole_file
from grainspec_runtime.cache.folder import cache_folder
from grainspec_runtime.cache.limit import cache_limit
from grainspec_runtime.cache.use import in_use, remove_unused

KINDS = {"inversion": "inversions", "unfinished": "unfinished"}
"""Kinds of entries, and the folders they lie in."""

Warn = Callable[[Diagnostic], None]

_CHECKSUM = "checksum"
_FORGOTTEN = 3600.0
"""Seconds after which a half-written file belongs to nobody."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its size in bytes, when it was last used, and what it is, in words by name."""

    kind: str
    path: Path
    size: int
    used: float
    about: Mapping[str, str]


def entry_path(kind: str, key: str) -> Path:
    """Where an entry lies, if it is there."""
    return cache_folder() / KINDS[kind] / f"{key}.safetensors"


def using(kind: str, key: str) -> AbstractContextManager[None]:
    """Keep an entry from being removed to make room, inside the block."""
    return in_use(entry_path(kind, key))


def save_entry(
    kind: str, key: str, tensors: Mapping[str, Tensor], about: Mapping[str, str]
) -> None:
    """Keep tensors, and make room; does nothing where the cache cannot be written."""
    path = entry_path(kind, key)
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    words = {**about, _CHECKSUM: _checksum(whole)}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            partial.write_bytes(save(whole, words))
        prune(cache_limit(), but=path)


def load_entry(kind: str, key: str, warn: Warn) -> dict[str, Tensor] | None:
    """An entry's tensors, on the CPU, or None where there is none.

    One that is damaged is dropped, and ``warn`` is told (G512).
    """
    path = entry_path(kind, key)
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            checksum = (file.metadata() or {}).get(_CHECKSUM)
        if checksum != _checksum(found):
            raise ValueError("its content is not what was written")
    except (OSError, SafetensorError, ValueError) as error:
        warn(_damaged(path, error))
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):  # a cache shared for reading only
        path.touch()
    return found


def drop_entry(kind: str, key: str) -> None:
    """Remove an entry that is of no more use."""
    with contextlib.suppress(OSError):
        entry_path(kind, key).unlink(missing_ok=True)


def entries(warn: Warn) -> list[Entry]:
    """Every entry, that last used longest ago first; damaged ones are dropped (G512)."""
    found = []
    for kind, path in _files():
        try:
            with safe_open(path, "pt") as file:
                about = {**(file.metadata() or {})}
            facts = path.stat()
        except FileNotFoundError:  # another process was quicker
            continue
        except (OSError, SafetensorError) as error:
            warn(_damaged(path, error))
            remove_unused(path)
            continue
        about.pop(_CHECKSUM, None)
        found.append(Entry(kind, path, facts.st_size, facts.st_mtime, about))
    return sorted(found, key=lambda entry: entry.used)


def prune(limit: int, *, but: Path | None = None) -> int:
    """Remove what was used longest ago until at most ``limit`` bytes are left; the bytes freed.

    Entries in use stay, in whichever process, and so does ``but``.
    """
    files = []
    for _, path in _files():
        with contextlib.suppress(OSError):
            facts = path.stat()
            files.append((facts.st_mtime, facts.st_size, path))
    total = sum(size for _, size, _ in files)
    freed = 0
    for _, size, path in sorted(files):
        if total - freed <= limit:
            break
        if path != but and remove_unused(path):
            freed += size
    for folder in KINDS.values():
        for path in (cache_folder() / folder).glob(".*.part"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _FORGOTTEN:
                    path.unlink()
    return freed


def _files() -> list[tuple[str, Path]]:
    return [
        (kind, path)
        for kind, folder in KINDS.items()
        for path in sorted((cache_folder() / folder).glob("[!.]*.safetensors"))
    ]


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    found = 0
    for name in sorted(tensors):
        found = zlib.crc32(f"{name}{list(tensors[name].shape)}".encode(), found)
        found = zlib.crc32(tensors[name].contiguous().numpy().data.cast("B"), found)
    return f"{found:08x}"


def _damaged(path: Path, error: Exception) -> Diagnostic:
    reason = reason_of(error)
    message = f"{os.path.relpath(path, cache_folder())} in the cache is damaged: {reason}"
    return Diagnostic("G512", message, "It was dropped, and is made again.")
