"""FiVE-Bench's layout (arXiv 2503.13684): prompts in JSON, frames and masks by the video's name.

    edit_prompt/edit1_FiVE.json   a list of `video_name`, `source_prompt`, `target_prompt`
    images/NAME/00001.jpg         the frames
    bmasks/NAME/00001.jpg         where the edit is

The words of an edit are in brackets in the target prompt. An entry without brackets, as in most
removals, binds nothing to the mask and is left out; so is one with several, which has one mask.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from grainspec import Builder, masks
from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec
from grainspec.regular_file import read_json
from grainspec_runtime.bench.methods import failure_of
from grainspec_runtime.bench.own.layouts import (
    ClipEdit,
    Found,
    first_frames,
    plain_name,
    text_of,
)

_BRACKETS = re.compile(r"\[([^\[\]]+)\]")


class Five:
    """FiVE-Bench, unpacked."""

    name = "FiVE-Bench (`edit_prompt/*.json`, `images/`, `bmasks/`)"

    def find(self, folder: Path) -> Found | None:
        """Read all prompts; entries whose files are missing are left out."""
        files = sorted((folder / "edit_prompt").glob("*.json"))
        if not files:
            return None
        edits: list[ClipEdit] = []
        left_out: dict[str, str] = {}
        for path in files:
            try:
                entries = _entries(path)
            except (OSError, ValueError) as error:
                left_out[path.stem] = f"unreadable prompts: {error}"
                continue
            for number, entry in enumerate(entries):
                name = f"{path.stem}-{number:03d}"
                try:
                    edits.append(ClipEdit(name, _spec(entry, folder), folder))
                except GrainError as error:
                    left_out[name] = failure_of(error)
                except (TypeError, ValueError) as error:
                    left_out[name] = f"unusable entry: {error}"
        return Found(self.name, edits, left_out)


def _entries(path: Path) -> list[Any]:
    content = read_json(path, bounded=True)
    if not isinstance(content, list):
        raise ValueError("not a list of entries")
    return content


def _spec(entry: Any, folder: Path) -> EditSpec:
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    name, target = (text_of(entry.get(it), f"`{it}`") for it in ("video_name", "target_prompt"))
    phrases = _BRACKETS.findall(target)
    if len(phrases) != 1:
        found = ", ".join(f"`{phrase}`" for phrase in phrases) or "no words"
        raise ValueError(f"{found} in brackets in its target prompt, and one mask")
    builder = Builder(f"images/{name}", frames=first_frames(folder / "images" / plain_name(name)))
    builder = builder.source(_plain(str(entry.get("source_prompt", "")))).target(_plain(target))
    # JPEG's shades beside the edges of a mask are neither black nor white
    area = masks(f"bmasks/{name}", in_order=True, threshold=0.5, scaled=True)
    builder = builder.region("edited", area).instance("edited", phrases[0])
    return builder.build()


def _plain(prompt: str) -> str:
    return prompt.replace("[", "").replace("]", "")
