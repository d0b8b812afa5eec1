"""Engines of `tracker` and `finder` as other tools name them, and their weights."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grainspec.model.declaration import head_of
from grainspec.model.spec import BLOCKS
from grainspec.text.draft import Change, Correction

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


_ENGINE = re.compile(
    r'\s*(?P<keyword>tracker|finder)\s+(?P<engine>"[^"\n]*"|\w[\w.-]*(?:[ ]\w[\w.-]*)?)'
)


def _engine_named(written: str, keyword: str) -> str:
    """Our name of an engine; empty if it is none of ours, such as a hub id or a folder."""
    head = head_of(BLOCKS[keyword].model)
    known = {_plain(name): name for name in head.choices} if head else {}
    return {**_OTHERS[keyword], **known}.get(_plain(written), "") if "/" not in written else ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def weights_of_engines(text: str) -> Iterator[Correction]:
    """Checkpoints of engines: `tracker "facebook/sam2.1-hiera-tiny"`, `tracker sam2.1-hiera-tiny`.

    Without quotes, the name of a checkpoint is completed to its hub id.
    """
    match = _WEIGHTS.match(text)
    if match is None:
        return
    keyword, engine, quoted = match["keyword"], match["engine"], match["quoted"]
    name = quoted if quoted is not None else match["plain"]
    if not engine and _engine_named(name, keyword):
        return
    if quoted is None and not _is_checkpoint(name, keyword):
        return
    place = match.span("engine")[0] if engine else match.span("name")[0]
    weights = f'weights "{name if quoted is not None else _hub_id(name)}"'
    engine = engine or _engine_of(name, keyword)
    end = match.end("name")
    if match["brace"]:  # other settings follow
        inside = match.end("brace")
        changes = [Change(place, end, engine), Change(inside, inside, f" {weights}")]
    else:
        changes = [Change(place, end, f"{engine} {{ {weights} }}")]
    yield Correction(f"the weights of a {keyword} are a setting: `weights`", (*changes,))


_NAME = r"\w[\w.-]*(?:/[\w.-]+)*"
_WEIGHTS = re.compile(
    rf"\s*(?P<keyword>tracker|finder)\s+(?:(?P<engine>\w+)\s+)?"
    rf'(?P<name>"(?P<quoted>[^"\n]+)"|(?P<plain>{_NAME}))(?:\s*(?P<brace>\{{))?'
)
_UNQUOTED = re.compile(
    rf"\s*(?:tracker|finder)\b[^{{]*\{{[^}}]*?\bweights\s+(?P<name>{_NAME})(?=[\s}}])"
)

_OF_WORDS = {
    "tracker": {"edgetam": "edgetam", "sam3": "sam3", "sam2": "sam2"},
    "finder": {"owl": "owlv2", "sam3": "sam3", "groundingdino": "grounding_dino"},
}
"""Engines by a word in the names of their checkpoints; the last if there is none."""

_CHECKPOINTS = (
    *(f"facebook/sam2.1-hiera-{size}" for size in ("tiny", "small", "base-plus", "large")),
    *(f"facebook/sam2-hiera-{size}" for size in ("tiny", "small", "base-plus", "large")),
    "yonigozlan/EdgeTAM-hf",
    "facebook/sam3",
    *(f"IDEA-Research/grounding-dino-{size}" for size in ("tiny", "base")),
    *(f"google/owlv2-{size}" for size in ("base-patch16", "large-patch14")),
    *(f"google/owlv2-{size}-ensemble" for size in ("base-patch16", "large-patch14")),
    *(f"google/owlv2-{size}-finetuned" for size in ("base-patch16", "large-patch14")),
)
"""Hub ids whose last part alone says which checkpoint is meant."""


def unquoted_weights(text: str) -> Iterator[Correction]:
    """Weights without quotes: `tracker sam2 { weights facebook/sam2.1-hiera-tiny }`."""
    match = _UNQUOTED.match(text)
    if match is not None:
        change = Change(*match.span("name"), f'"{_hub_id(match["name"])}"')
        yield Correction("the weights are a text in quotes", (change,))


def engine_and_weights(name: str, keyword: str) -> tuple[str, str] | None:
    """The engine and the weights that the name of a checkpoint means; None for other names.

    >>> engine_and_weights("sam2.1_hiera_large.pt", "tracker")
    ('sam2', 'facebook/sam2.1-hiera-large')
    """
    if _engine_named(name, keyword) or not _is_checkpoint(name, keyword):
        return None
    return _engine_of(name, keyword), _hub_id(name)


def _is_checkpoint(name: str, keyword: str) -> bool:
    """Whether a word is the name of a checkpoint, and no misspelt engine."""
    has_word = any(word in _plain(name) for word in _OF_WORDS[keyword])
    return "/" in name or (has_word and re.search(r"[-._][A-Za-z]", name) is not None)


def _hub_id(name: str) -> str:
    """The hub id of a checkpoint, if it is known by its name; else the name."""
    known = {_plain(hub_id.rpartition("/")[2]): hub_id for hub_id in _CHECKPOINTS}
    return known.get(_plain(re.sub(r"\.(pth?|safetensors)$", "", name)), name)


def _engine_of(weights: str, keyword: str) -> str:
    """The engine of a checkpoint, by its name."""
    *_, default = _OF_WORDS[keyword].values()
    named = (engine for word, engine in _OF_WORDS[keyword].items() if word in _plain(weights))
    return next(named, default)
