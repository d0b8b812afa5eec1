"""What a path that leads nowhere may mean: a file of a similar name, or a URL."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from grainspec.diagnostics import closest, visible

FROM_URL = "cannot be read from a URL: the spec is a file of this machine"
BESIDE_URL = "Put the spec into the same store, and name its URL: `grain run s3://…/edit.grain`."
_OF_A_URL = re.compile(r"(?:^|/)([a-z][a-z0-9]+):/", re.IGNORECASE)
"""The path that a URL becomes when it is joined to a folder."""
_MOST = 2_000
"""Names of a folder that are compared."""


def url_of(path: Path) -> str:
    """Return the URL that was joined to a folder, without user or query; empty if none was.

    >>> url_of(Path("specs", "s3://studio/a.mp4")), url_of(Path("specs/a.mp4"))
    ('s3://studio/a.mp4', '')
    >>> url_of(Path("specs", "https://me:secret@host/a.mp4?key=2"))
    'https://host/a.mp4'
    """
    text = path.as_posix()
    start = _OF_A_URL.search(text)
    if start is None:
        return ""
    host, slash, rest = text[start.end() :].partition("/")
    if start[1].lower() in ("http", "https"):
        rest = rest.partition("?")[0]
    return f"{start[1]}://{host.rpartition('@')[2]}{slash}{rest}"


def near_path(path: Path) -> str:
    """A hint, ``"Did you mean `left/00000.png`?"``, with the end of the path that is meant.

    It begins where the written path leads nowhere; what follows exists. Empty if no name is near.
    """
    folder, rest = path.parent, [path.name]
    try:
        while not folder.is_dir():
            if folder == folder.parent:
                return ""
            folder, rest = folder.parent, [folder.name, *rest]
        found = folder
        for name in rest:
            near = name if (found / name).exists() else _near(name, found)
            if near is None:
                return ""
            found /= near
        meant = found.relative_to(folder).as_posix()
    except (OSError, ValueError):
        return ""
    return f"Did you mean `{meant}`?" if meant == visible(meant) and "`" not in meant else ""


def _near(name: str, folder: Path) -> str | None:
    """The name in a folder that is most like another one; of its suffix first, if it has one."""
    names = [one.name for one in islice(folder.iterdir(), _MOST) if not one.name.startswith(".")]
    suffix = Path(name).suffix
    alike = {Path(one).stem: one for one in names if suffix and Path(one).suffix == suffix}
    near = closest(Path(name).stem, alike)
    return alike[near] if near is not None else closest(name, names)
