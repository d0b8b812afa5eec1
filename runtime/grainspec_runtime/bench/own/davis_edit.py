"""DAVIS-Edit's layout (StableV2V, arXiv 2411.11045): DAVIS' frames and masks, and prompts in JSON.

    edited_video_caption_dict_text.json   by the video's name, `original`, `similar`, `changing`
    JPEGImages/NAME/00000.jpg             the frames
    Annotations/NAME/00000.png            the objects, as in DAVIS: everything that is not 0

`original` describes the clip; `similar` and `changing` are two edits, into something of about the
same shape and of another. The words that differ from `original` are bound to the objects.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from grainspec import Builder, masks
from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec
from grainspec.regular_file import read_json, regular
from grainspec_runtime.bench.methods import failure_of
from grainspec_runtime.bench.own.layouts import (
    ClipEdit,
    Found,
    first_frames,
    plain_name,
    text_of,
)

_PROMPTS = "edited_video_caption_dict_text.json"
_EDITS = ("similar", "changing")
_ARTICLES = frozenset(("a", "an", "the"))
_MARKS = ".,;:!?"


class DavisEdit:
    """DAVIS-Edit, unpacked."""

    name = f"DAVIS-Edit (`{_PROMPTS}`, `JPEGImages/`, `Annotations/`)"

    def find(self, folder: Path) -> Found | None:
        """Read all prompts; entries whose files are missing are left out."""
        path = folder / _PROMPTS
        if not regular(path):
            return None
        edits: list[ClipEdit] = []
        left_out: dict[str, str] = {}
        try:
            videos = _videos(path)
        except (OSError, ValueError) as error:
            return Found(self.name, edits, {_PROMPTS: f"unreadable prompts: {error}"})
        for video, entry in videos.items():
            for which in _EDITS:
                name = f"{video}-{which}"
                try:
                    edits.append(ClipEdit(name, _spec(video, entry, which, folder), folder))
                except GrainError as error:
                    left_out[name] = failure_of(error)
                except (TypeError, ValueError) as error:
                    left_out[name] = f"unusable entry: {error}"
        return Found(self.name, edits, left_out)


def _videos(path: Path) -> dict[str, Any]:
    content = read_json(path, bounded=True)
    if not isinstance(content, dict):
        raise ValueError("not an object of videos")
    return content


def _spec(video: str, entry: Any, which: str, folder: Path) -> EditSpec:
    if not isinstance(entry, dict):
        raise ValueError("not an object with `original`, `similar` and `changing`")
    name = plain_name(video)
    original, target = (text_of(entry.get(key), f"`{key}`") for key in ("original", which))
    words = changed_words(original, target)
    builder = Builder(f"JPEGImages/{name}", frames=first_frames(folder / "JPEGImages" / name))
    area = masks(f"Annotations/{name}", index=0, invert=True, scaled=True)
    builder = builder.source(original).target(target).region("object", area)
    return builder.instance("object", words).build()


def changed_words(original: str, target: str) -> str:
    """The words of ``target`` that are not in ``original``, without an article before them.

    Raises ValueError unless they are in one place.

    >>> changed_words("a bear walking on rocks", "An Asian elephant walking on rocks")
    'Asian elephant'
    """
    places = list(re.finditer(r"\S+", target))
    before = [_bare(word) for word in original.split()]
    after = [_bare(place[0]) for place in places]
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    spans = [(start, end) for tag, _, _, start, end in steps if tag in ("replace", "insert")]
    if not spans:
        raise ValueError("its target prompt has no new words")
    texts = [target[places[start].start() : places[end - 1].end()] for start, end in spans]
    if len(spans) > 1:
        found = ", ".join(f"`{text}`" for text in texts)
        raise ValueError(
            f"its prompts differ in {len(spans)} places, and one object is edited: {found}"
        )
    first, _, others = texts[0].strip(_MARKS).partition(" ")
    return others.strip() if others and first.lower() in _ARTICLES else f"{first} {others}".strip()


def _bare(word: str) -> str:
    return word.strip(_MARKS).lower()
