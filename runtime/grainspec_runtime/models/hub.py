"""Find the files of models: local ones, or downloads from the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grainspec.diagnostics import GrainError, fail, reason_of
from grainspec.diagnostics.span import Span
from grainspec_runtime.models.address import HubAddress, read_address
from grainspec_runtime.models.weights import PICKLES, SUFFIX


class NotCached(GrainError):
    """A model of the hub is not in the local cache, and nothing is to be downloaded."""


def place_of(
    name: str,
    base: Path,
    patterns: Sequence[str],
    *,
    what: str,
    missing: str,
    unreachable: str,
    span: Span | None = None,
    online: bool = True,
) -> Path:
    """Find a model: a folder or a file, absolute or relative to ``base``, or a hub id.

    ``patterns`` are the files to download; ``what`` names the model in messages, as “the
    ControlNet”. Raises GrainError: G502 if the path does not exist, with the cure ``missing``; G503
    if the download fails, with the cure ``unreachable``, or if an address is none of a model;
    NotCached for a hub id that is not in the cache, unless ``online``.

    >>> place_of(".", Path("/"), [], what="the model", missing="", unreachable="").as_posix()
    '/'
    """
    if existing := _existing(base, Path(name)):
        return existing
    address = read_address(name, what, span)
    if isinstance(address, HubAddress):
        return _download(name, address, patterns, what, unreachable, span, online)
    if existing := _existing(base, address):
        return existing
    kind = "file" if address.suffix in (SUFFIX, *PICKLES) else "folder"
    raise fail("G502", f"the {kind} of {what} does not exist: {base / address}", missing, span)


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
    """Find the folder of a model; as :func:`place_of`, for models that are no single files.

    Raises GrainError (G502) for a file.
    """
    place = place_of(
        name, base, patterns, what=what, missing=missing, unreachable=unreachable, span=span
    )
    if not place.is_dir():
        raise fail("G502", f"{what} {place} is a file, not a folder", missing, span)
    return place


def is_remote(name: str, base: Path) -> bool:
    """Return whether a name is a hub id or the hub's address of a model, and no existing path."""
    if _existing(base, Path(name)):
        return False
    try:
        return isinstance(read_address(name, "the model"), HubAddress)
    except GrainError:
        return False


def _existing(base: Path, path: Path) -> Path | None:
    try:
        place = base / path.expanduser()
        return place if place.is_dir() or place.is_file() else None
    except (RuntimeError, OSError, ValueError):  # no such user; a name that files cannot have
        return None


def _download(
    name: str,
    address: HubAddress,
    patterns: Sequence[str],
    what: str,
    unreachable: str,
    span: Span | None,
    online: bool,
) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                address.repository,
                revision=address.revision,
                allow_patterns=list(patterns),
                local_files_only=not online,
            )
        )
    except Exception as error:
        # The Hub's client raises dozens of error types, including those of its HTTP library.
        message = f"{what} {name} is not a folder, and cannot be downloaded: {reason_of(error)}"
        cure = _MOVED.get(address.repository.lower(), unreachable)
        failure = fail("G503", message, cure, span)
        if not online and isinstance(error, LocalEntryNotFoundError):
            failure = NotCached(failure.diagnostics)
        raise failure from error


_MOVED = {
    "runwayml/stable-diffusion-v1-5": "It was removed from the hub; its copy is "
    "`stable-diffusion-v1-5/stable-diffusion-v1-5`.",
}
"""Cures for repositories that many specs name and the hub no longer has."""


def download_cure(example: str) -> str:
    """Return the cure for a failed download; ``example`` shows where its folder is written.

    >>> download_cure("`--clip mine`")
    'Check its name and the network, or download it elsewhere and write its path: `--clip mine`.'
    """
    return (
        f"Check its name and the network, or download it elsewhere and write its path: {example}."
    )
