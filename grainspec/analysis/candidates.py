"""Words of a prompt that an edit may bind, and files that a path may name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from grainspec.analysis.document import Document
from grainspec.analysis.links import inside_folder, names_in
from grainspec.clip.facts import IMAGE_SUFFIXES

MAX_PHRASES = 60
MAX_FILES = 200
LONGEST = 4
"""Words of a phrase that is proposed."""

_WORD = re.compile(r"\w+(?:['’‑-]\w+)*")
_BETWEEN = re.compile(
    r"[^\w\s'’‑-]+|\b(?:a|an|the|and|or|of|on|in|at|to|with|without|before|behind|under|over|near|by"
    r"|is|are|as|for|from|while|into|his|her|their|its)\b",
    re.IGNORECASE,
)
"""What stands between the things that a prompt names."""

VIDEOS = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm", ".gif"})
MASKS = IMAGE_SUFFIXES | VIDEOS | {".npy", ".npz", ".json", ".xml", ".txt"}
WEIGHTS = frozenset({".safetensors"})
_SUFFIXES = {
    "video": VIDEOS | IMAGE_SUFFIXES,
    "clip": VIDEOS | IMAGE_SUFFIXES,
    "masks": MASKS,
    "model": WEIGHTS,
    "motion_adapter": WEIGHTS,
    "net": WEIGHTS,
}


def phrases_in(prompt: str) -> list[str]:
    """Phrases of a prompt that an edit may bind, whole names first.

    >>> phrases_in("a green robot and a bear on grass")
    ['green robot', 'bear', 'grass', 'green', 'robot']
    """
    parts: list[list[str]] = []
    for part in _BETWEEN.split(prompt[:5_000]):
        words = [match[0] for match in _WORD.finditer(part)]
        if words:
            parts.append(words)
    whole = [" ".join(words) for words in parts if len(words) <= LONGEST]
    runs = [
        " ".join(words[start : start + length])
        for words in parts
        for length in range(min(LONGEST, len(words)), 0, -1)
        for start in range(len(words) - length + 1)
    ]
    return list(dict.fromkeys(whole + runs))[:MAX_PHRASES]


def files_in(document: Document, path: str, what: str) -> Iterator[tuple[str, Path]]:
    """The files and folders that may follow what is typed of a path, each with its name.

    Only those below the spec's folder; a folder's name ends in `/`.
    """
    folder = path.rpartition("/")[0]
    place = inside_folder(document, folder or ".")
    if place is None or path.startswith(("/", "~")):
        return
    suffixes = _SUFFIXES.get(what)
    try:
        found = names_in(place)
    except OSError:
        return
    count = 0
    for file in found:
        if count == MAX_FILES:
            return
        if file.is_dir():
            name = f"{file.name}/"
        elif suffixes is None or file.suffix.lower() in suffixes:
            name = file.name
        else:
            continue
        if not re.search(r"[\x00-\x1f\x7f]", name):
            count += 1
            yield name, file
