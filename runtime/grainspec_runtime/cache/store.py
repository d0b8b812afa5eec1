"""Cache entries: tensors stored by kind and key, with a short description.

Failures here cost time, never a result: an entry that cannot be written is not stored, and one that
cannot be read is deleted with a warning and computed again.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from grainspec.diagnostics import Diagnostic, reason_of
from grainspec.file_lock import remove_abandoned
from grainspec.regular_file import require_regular
from grainspec.remote.files import Moved, unseen
from grainspec.whole_file import PARTIAL, whole_file
from grainspec_runtime.cache import shared
from grainspec_runtime.cache.folder import cache_folder
from grainspec_runtime.cache.limit import cache_limit
from grainspec_runtime.cache.use import in_use, remove_unused, remove_unused_locks

KINDS = {"inversion": "inversions", "unfinished": "unfinished"}
"""The kinds of entries, and the folder of each."""

Warn = Callable[[Diagnostic], None]
_SHARED = "inversion"
"""The kind of entries that machines share; the state of a run is its own machine's."""

_KEY, _CHECKSUM = "key", "checksum"


@dataclass(frozen=True, slots=True)
class Entry:
    """One cache entry: its size in bytes, the time of its last use, and its description."""

    kind: str
    path: Path
    size: int
    used: float
    about: Mapping[str, str]


def entry_path(kind: str, key: str) -> Path:
    """Return the path of an entry, whether it exists or not."""
    return cache_folder() / KINDS[kind] / f"{key}.safetensors"


def using(kind: str, key: str) -> AbstractContextManager[None]:
    """Protect an entry from eviction inside the block."""
    return in_use(entry_path(kind, key))


def save_entry(
    kind: str,
    key: str,
    tensors: Mapping[str, Tensor],
    about: Mapping[str, str],
    warn: Warn = lambda finding: None,
    moved: Moved = unseen,
) -> None:
    """Save tensors, then evict down to the limit; does nothing if the cache is not writable.

    An inversion is also sent to the shared cache, if there is one: ``moved`` receives the
    megabytes, and ``warn`` G759 if it fails.
    """
    path = entry_path(kind, key)
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {**about, _KEY: f"{kind} {key}", _CHECKSUM: _checksum(on_cpu)}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            partial.write_bytes(save(on_cpu, metadata))
        prune(cache_limit(), but=path)
        if kind == _SHARED:
            shared.send(path, warn, moved)


def load_entry(kind: str, key: str, warn: Warn, moved: Moved = unseen) -> dict[str, Tensor] | None:
    """Load an entry's tensors onto the CPU; None if there is no such entry.

    An inversion that this machine lacks is fetched from the shared cache, if there is one. An entry
    that is damaged, or that belongs to another key, is deleted; ``warn`` receives G512.
    """
    tensors = _loaded(kind, key, warn)
    if tensors is None and kind == _SHARED:
        path = entry_path(kind, key)
        if shared.fetched(path, warn, moved):
            tensors = _loaded(kind, key, warn)
            prune(cache_limit(), but=path)
    return tensors


def _loaded(kind: str, key: str, warn: Warn) -> dict[str, Tensor] | None:
    path = entry_path(kind, key)
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        if metadata.get(_KEY) != f"{kind} {key}":
            raise ValueError("it has the key of another entry, or none")
        if metadata.get(_CHECKSUM) != _checksum(tensors):
            raise ValueError("its checksum does not match")
    except FileNotFoundError:  # another process deleted it
        return None
    except (OSError, SafetensorError, ValueError) as error:
        warn(_damaged(path, error))
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):  # the cache may be read-only
        path.touch()
    return tensors


def drop_entry(kind: str, key: str) -> None:
    """Delete an entry, if it exists."""
    with contextlib.suppress(OSError):
        entry_path(kind, key).unlink(missing_ok=True)


def entries(warn: Warn) -> list[Entry]:
    """List every entry, least recently used first; damaged ones are deleted (G512)."""
    listed = []
    for kind, path in _files():
        try:
            require_regular(path)
            with safe_open(path, "pt") as file:
                about = {**(file.metadata() or {})}
            facts = path.stat()
        except FileNotFoundError:  # another process deleted it
            continue
        except (OSError, SafetensorError) as error:
            warn(_damaged(path, error))
            remove_unused(path)
            continue
        about.pop(_KEY, None)
        about.pop(_CHECKSUM, None)
        listed.append(Entry(kind, path, facts.st_size, facts.st_mtime, about))
    return sorted(listed, key=lambda entry: entry.used)


def prune(limit: int, *, but: Path | None = None) -> int:
    """Evict the least recently used entries until at most ``limit`` bytes remain.

    Returns the bytes freed. Entries in use by any process stay, and so does ``but``.
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
        remove_abandoned((cache_folder() / folder).glob(PARTIAL))
        remove_unused_locks(cache_folder() / folder)
    return freed


def _files() -> list[tuple[str, Path]]:
    return [
        (kind, path)
        for kind, folder in KINDS.items()
        for path in sorted((cache_folder() / folder).glob("[!.]*.safetensors"))
    ]


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    crc = 0
    for name in sorted(tensors):
        crc = zlib.crc32(f"{name}{list(tensors[name].shape)}{tensors[name].dtype}".encode(), crc)
        crc = zlib.crc32(tensors[name].contiguous().numpy().data.cast("B"), crc)
    return f"{crc:08x}"


def _damaged(path: Path, error: Exception) -> Diagnostic:
    reason = reason_of(error)
    message = f"the cache entry {os.path.relpath(path, cache_folder())} is damaged: {reason}"
    return Diagnostic("G512", message, "It was deleted and will be computed again.")
