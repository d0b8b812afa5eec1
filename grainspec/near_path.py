"""The file that a path which leads nowhere may mean: one of a similar name, in the same folder."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from grainspec.diagnostics import closest, visible

_MOST = 2_000
"""Names of a folder that are compared."""


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
