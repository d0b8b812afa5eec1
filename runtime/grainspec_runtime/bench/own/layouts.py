"""Recognise what a folder of clips contains: specs, or the layout of a published data set.

No clips are downloaded. MIVE (arXiv 2412.12877) has published no files; write specs for its clips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from grainspec.clip.facts import probe
from grainspec.diagnostics import GrainError, fail, visible
from grainspec.model.spec import EditSpec
from grainspec.regular_file import TooLarge, files_in

MOST_FRAMES = 16
"""Of a data set's clip, so many frames are edited, from the first: an image model's usual number.
Where a data set says which frames, as VideoGrain does, it is those."""
_SHOWN = 8
_MOST_FILES = 20_000


@dataclass(frozen=True)
class ClipEdit:
    """An edit of a clip: its name, its spec, and the folder where the spec's paths start.

    is_written: whether the spec is the user's, and not made from a data set.
    own: of a published configuration, the statements that the row of its own code has alone, by
    the row's ``stands_for``. unfollowed: its settings that no statement expresses, or none exactly,
    with what is done instead.
    """

    name: str
    spec: EditSpec
    base: Path
    is_written: bool = False
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unfollowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """The edits of a folder, and why entries were left out, by their names."""

    layout: str
    edits: list[ClipEdit]
    left_out: dict[str, str] = field(default_factory=dict)


class Layout(Protocol):
    """A layout of clips and edits in a folder."""

    @property
    def name(self) -> str:
        """The layout's name, with its sign: what a folder of this layout has."""

    def find(self, folder: Path) -> Found | None:
        """Read the edits; None for a folder of another layout."""


def find_edits(folder: Path, layouts: Iterable[Layout]) -> Found:
    """Read the edits of a folder by the first layout that recognises it.

    Raises GrainError: G580 if none does, or if nothing in the folder can be used.
    """
    layouts = list(layouts)
    if not folder.is_dir():
        raise _unknown(f"{folder} is not a folder", layouts)
    for layout in layouts:
        found = layout.find(folder)
        if found is None:
            continue
        found = _named_visibly(found)
        if found.edits:
            return found
        reasons = "; ".join(f"{name}: {why}" for name, why in list(found.left_out.items())[:3])
        raise _unknown(f"{folder} has the layout of {layout.name}, but no edit: {reasons}", layouts)
    message = f"{folder} has no specs, and not the layout of a known data set: it contains "
    raise _unknown(message + _contents(folder), layouts)


def _named_visibly(found: Found) -> Found:
    """The same with names that can be printed and written, whatever a file's name is."""
    return Found(
        found.layout,
        [replace(edit, name=visible(edit.name)) for edit in found.edits],
        {visible(name): visible(why) for name, why in found.left_out.items()},
    )


def first_frames(clip: Path) -> tuple[int, int]:
    """The first and the last frame of a clip that are edited; raises GrainError (G301, G302)."""
    return 0, min(probe(clip).frames, MOST_FRAMES) - 1


def plain_name(name: str) -> str:
    """The name of a file or folder in a data set's own folders; raises ValueError for a path.

    >>> plain_name("0001_bus")
    '0001_bus'
    """
    if Path(name).name != name or "\\" in name or "\0" in name or not name.strip("."):
        raise ValueError(f"not a name of a video: `{name[:60]}`")
    return name


def text_of(value: object, what: str) -> str:
    r"""A text of a data set's file on one line; raises ValueError for anything else.

    >>> text_of("a bear\nwalks ", "`prompt`")
    'a bear walks'
    """
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text:
        raise ValueError(f"{what} must be text")
    if visible(text) != text:
        raise ValueError(f"{what} has control characters: `{visible(text)[:60]}`")
    return text


def _unknown(message: str, layouts: Iterable[Layout]) -> GrainError:
    names = "; ".join(layout.name for layout in layouts)
    return fail("G580", message, f"Name a folder with one of these: {names}.")


def _contents(folder: Path) -> str:
    """What is in a folder: its subfolders, and how many files of each kind."""
    try:
        entries = sorted(files_in(folder, _MOST_FILES))
    except TooLarge:
        return f"more than {_MOST_FILES:,} files"
    except OSError as error:
        return f"what cannot be read ({error.strerror or error})"
    folders = [f"{entry.name}/" for entry in entries if entry.is_dir()]
    kinds = Counter(entry.suffix or entry.name for entry in entries if entry.is_file())
    listed = folders[:_SHOWN] + [f"{n} × {kind}" for kind, n in kinds.most_common(_SHOWN)]
    more = len(folders) - _SHOWN
    return ", ".join(listed) + (f", and {more} more folders" if more > 0 else "") or "nothing"
