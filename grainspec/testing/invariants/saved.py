"""Plans as files, and their digests."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from threading import get_ident

import numpy as np

from grainspec.diagnostics import GrainError
from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec.plan.save import load_plan, save_plan
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.by_hand import plan_by_hand
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.sometimes import now_and_then, once


@invariant("saving")
def saving(case: Case) -> None:
    """A saved and loaded plan is the same plan; a file in which a byte has changed is refused.

    Every second case is saved, and a plan by hand.
    """
    once("saving", _by_hand)
    if now_and_then(case, 2):
        _saved(case.plan)


def _saved(plan: MaskPlan) -> bytes:
    """Save and load a plan; the content of its file."""
    path = plan_file()
    save_plan(plan, path)
    try:
        loaded = load_plan(path)
    except GrainError as error:
        raise Broken("saving", f"the saved plan is refused: {error}") from error
    for name in _differing(plan, loaded):
        raise Broken("saving", f"{name} of the loaded plan differs from the saved one's")
    if loaded != plan:
        raise Broken("saving", "the loaded plan is not equal to the saved one")
    return path.read_bytes()


def _by_hand() -> None:
    content, again = (_saved(plan_by_hand()) for _ in range(2))
    if again != content:
        raise Broken("saving", "saving the plan again gives another file")
    (length,) = struct.unpack("<Q", content[:8])
    if length % 8:
        raise Broken("saving", f"the header has {length} bytes: the arrays are not aligned")
    for place, change in _CHANGES.items():
        path = plan_file()
        path.write_bytes(change(content))
        _require_refused(path, place)


def _require_refused(path: Path, place: str) -> None:
    try:
        load_plan(path)
    except GrainError as error:
        if {finding.code for finding in error.diagnostics} != {"G405"}:
            raise Broken("saving", f"a changed file is refused with {error}") from error
    else:
        raise Broken("saving", f"a file is loaded in which {place} has changed")


def plan_file() -> Path:
    """A file for plans that are saved and loaded at once; to replace one takes some file systems
    longer than all the rest."""
    path = Path(_folder().name) / f"{get_ident()}.safetensors"
    path.unlink(missing_ok=True)
    return path


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """One folder for all cases: to make and remove one for each takes longer than all the rest."""
    return tempfile.TemporaryDirectory(prefix="grainspec-")


def _differing(plan: MaskPlan, loaded: MaskPlan) -> Iterator[str]:
    """The names of fields that differ in their values or types."""
    for name in (field.name for field in fields(MaskPlan) if not field.name.startswith("_")):
        if name != "levels" and not _same(getattr(plan, name), getattr(loaded, name)):
            yield name
    if len(plan.levels) != len(loaded.levels):
        yield "levels"
    for level, other in zip(plan.levels, loaded.levels, strict=False):
        for name in (field.name for field in fields(PlanLevel)):
            if not _same(getattr(level, name), getattr(other, name)):
                yield f"{name} of level {level.index}"


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and one == other


def _last_byte(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def _other_target(content: bytes) -> bytes:
    """Another target prompt in the header, and everything else as it was."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    plan = json.loads(header["__metadata__"]["plan"])
    plan["target"] += "."
    header["__metadata__"]["plan"] = json.dumps(plan)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


_CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "the last byte": _last_byte,
    "the target prompt": _other_target,
}


@invariant("digest")
def digest(case: Case) -> None:
    """Plans that differ in any field have different digests, and are not equal."""
    copy = replace(case.plan, _cache={})
    if copy != case.plan or hash(copy) != hash(case.plan) or copy.digest != case.plan.digest:
        raise Broken("digest", "a copy of the plan has another digest")
    once("digest", _all_digests)


def _all_digests() -> None:
    plan = plan_by_hand()
    for name, other in _others(plan):
        if other == plan or other.digest == plan.digest:
            raise Broken("digest", f"a plan with another value of {name} has the same digest")


def _others(plan: MaskPlan) -> Iterator[tuple[str, MaskPlan]]:
    """The plan with one field changed at a time."""
    numbers = ("training_steps", "width", "height", "first_frames", "frames_per_latent")
    changed: dict[str, object] = {name: getattr(plan, name) + 1 for name in numbers}
    changed |= {name: getattr(plan, name) + "x" for name in ("target", "backbone")}
    changed["frames"] = tuple(frame + 1 for frame in plan.frames)
    changed["attention"] = plan.attention.model_copy(update={"until": plan.attention.until / 2 + 1})
    changed["noise"] = "flow"
    for name in ("members_CE", "words_ET", "neutral_T", "masked_T", "edited_FHW"):
        changed[name] = _flipped(getattr(plan, name))
    changed["key_frames_FK"] = plan.key_frames_FK + np.int32(1)
    changed["levels"] = (replace(plan.levels[0], modulated=not plan.levels[0].modulated),)
    for name, value in changed.items():
        yield name, replace(plan, **{name: value}, _cache={})  # type: ignore[arg-type]
    edit = plan.edits[0]
    for name, value in {
        "region": edit.region + "x",
        "verb": edit.verb + "x",
        "grain": f"{edit.grain}x",
        "owner": f"{edit.owner}x",
        "phrase": edit.phrase + "x",
        "weight": edit.weight + 1,
        "repel": edit.repel + 1,
        "spans": (*edit.spans, (0, 1)),
        "tokens": (*edit.tokens, (0,)),
    }.items():
        other = replace(edit, **{name: value})  # type: ignore[arg-type]
        yield f"an edit's {name}", replace(plan, edits=(other, *plan.edits[1:]), _cache={})
    level = plan.levels[-1]
    for name in ("labels", "cross_attract", "cross_repel", "self_attract", "self_repel"):
        field = f"{name}_FHW" if name == "labels" else f"{name}_FC"
        array = getattr(level, field)
        last = replace(level, **{field: array + array.dtype.type(1)})
        yield field, replace(plan, levels=(*plan.levels[:-1], last), _cache={})


def _flipped(array: np.ndarray) -> np.ndarray:
    other = array.copy()
    other.flat[-1] ^= True
    return other
