"""Engines of `tracker` and `finder` as other tools name them, and their weights."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grainspec.model.declaration import head_of
from grainspec.model.spec import BLOCKS
from grainspec.text.draft import Change, Correction
from grainspec.text.token_changes import lexed, replaced

_OTHERS = {
    "tracker": {
        **dict.fromkeys("sam sam21 segmentanything".split(), "sam2"),
        **dict.fromkeys("color opencv cv2 grabcut default none auto".split(), "colour"),
    },
    "finder": {
        **dict.fromkeys("dino gdino grounding groundedsam".split(), "grounding_dino"),
        **dict.fromkeys("owl owlvit owlvit2".split(), "owlv2"),
        **dict.fromkeys("sam".split(), "sam3"),
    },
}
"""Names of engines elsewhere, and ours; in small letters and digits alone."""


def engines(text: str) -> Iterator[Correction]:
    """Engines by other names: `tracker sam2.1`, `tracker "sam2"`, `finder dino`."""
    match = _ENGINE.match(text)
    if match is None:
        return
    keyword, written = match["keyword"], match["engine"]
    ours = _engine_named(written.strip('"'), keyword)
    if ours and ours != written:
        message = f"unknown {keyword} engine `{written}`"
        if written.strip('"') == ours:
            message = f"the name of a {keyword} has no quotes"
        yield Correction(message, (Change(*match.span("engine"), ours),))


_ENGINE = re.compile(r'\s*(?P<keyword>tracker|finder)\s+(?P<engine>"[^"\n]*"|\w[\w.-]*)')


def _engine_named(written: str, keyword: str) -> str:
    """Our name of an engine; empty if it is none of ours, such as a hub id or a folder."""
    head = head_of(BLOCKS[keyword].model)
    known = {_plain(name): name for name in head.choices} if head else {}
    return {**_OTHERS[keyword], **known}.get(_plain(written), "") if "/" not in written else ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def weights_of_engines(text: str) -> Iterator[Correction]:
    """Checkpoints of engines: `tracker "facebook/sam2.1-hiera-tiny"`."""
    tokens = lexed(text)
    keyword = str(tokens[0])
    weights = next((token for token in tokens[1:3] if token.type == "STRING"), None)
    if keyword not in _OTHERS or weights is None:
        return
    alone = weights is tokens[1]
    if any(token.type == "LBRACE" for token in tokens):
        return
    if alone and _engine_named(str(weights).strip('"'), keyword):
        return
    named = f"{_engine_of(str(weights), keyword)} " if alone else ""
    change = replaced(weights, f"{named}{{ weights {weights} }}")
    yield Correction(f"the weights of a {keyword} are a setting: `weights`", (change,))


def _engine_of(weights: str, keyword: str) -> str:
    """The engine of a checkpoint, by its name."""
    by_word = {
        "tracker": {"edgetam": "edgetam", "sam3": "sam3", "": "sam2"},
        "finder": {"owl": "owlv2", "sam3": "sam3", "": "grounding_dino"},
    }
    return next(engine for word, engine in by_word[keyword].items() if word in _plain(weights))
