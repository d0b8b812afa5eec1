"""Runs whose results go to a URL: written on this machine, and then sent."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from grainspec.cache_folder import cache_folder
from grainspec.diagnostics import fail
from grainspec.remote.address import joined, shown
from grainspec.remote.files import Moved, remove
from grainspec.remote.folders import listed, put_folder
from grainspec.remote.store import check_lasting
from grainspec_runtime.runs.read import MANIFEST


def staged(url: str) -> Path:
    """Return the folder of this machine where results for a URL are written.

    Those that could not be sent stay there, and the same command sends them. Raises GrainError
    (G757, G758) if nothing can be written to the URL.
    """
    check_lasting(url)
    return cache_folder().absolute() / "results" / hashlib.sha256(url.encode()).hexdigest()[:24]


def check_replaceable(url: str, own: Collection[str]) -> None:
    """Raise GrainError (G310) if a remote folder has files that are not of a run.

    Only files named ``own`` and folders with runs of variants are allowed. Raises GrainError (G746,
    G757) if it cannot be read.
    """
    names = [file.name for file in listed(url)]
    runs = {name.removesuffix(f"/{MANIFEST}") for name in names if name.endswith(f"/{MANIFEST}")}
    for name in names:
        top, inside, _ = name.partition("/")
        if top not in (runs if inside else own):
            message = f"{shown(url)} contains files that are not from a grain run, such as {name}"
            raise fail("G310", message, "Choose another folder: `-o FOLDER`.")


def send_results(folder: Path, url: str, sent: Moved) -> None:
    """Send the runs in a folder to a URL, in the place of earlier ones.

    Manifests are sent last: a run with a manifest is whole. Of the earlier runs, what the new ones
    lack is then deleted; runs of other variants stay. Raises GrainError (G746).
    """
    new = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    folders = {name.rpartition("/")[0] for name in new}
    old = {file.name for file in listed(url) if file.name.rpartition("/")[0] in folders}
    put_folder(folder, url, last=MANIFEST, sent=sent)
    for name in sorted(old - new):
        remove(joined(url, name))


def shown_place(place: Path, folder: Path, url: str) -> str:
    """Return the name of a run's folder in messages: below the URL, if there is one."""
    return joined(shown(url), *place.relative_to(folder).parts) if url else str(place)
