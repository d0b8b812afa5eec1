"""The numbers of objects in the images of tracked masks: an object keeps its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grainspec.regions.tracked.manifest import MAX_OBJECTS, SourceRecord, TrackedManifest
from grainspec.regions.tracked.sources import Source, TrackedClip


@dataclass(frozen=True)
class Numbering:
    """``numbers`` of the objects, in their order.

    ``new`` are the expressions with objects that had no number before, ``retired`` the numbers of
    objects that are tracked no more.
    """

    numbers: tuple[int, ...]
    new: frozenset[Source]
    retired: tuple[int, ...]


def numbered(
    clip: TrackedClip,
    owners: Sequence[Source],
    manifest: TrackedManifest | None,
    kept: Sequence[SourceRecord],
) -> Numbering:
    """Number objects: as ``manifest`` has them, else by numbers that are free, from 1.

    ``owners`` are the expressions of the objects, ``kept`` the entries of others, whose numbers
    stay theirs. An expression that changed is recognised by its region.
    """
    before = [*manifest.sources] if manifest else []
    retired = {*manifest.retired} if manifest else set()
    known = {number for record in before for number in record.numbers}
    taken = {number for record in kept for number in record.numbers}
    own: dict[Source, list[int]] = {}
    for source in dict.fromkeys(owners):
        record = _earlier(clip, source, before)
        free = [number for number in record.numbers if number not in taken] if record else []
        own[source] = free
        taken |= {*free}
    spare = (n for n in range(1, MAX_OBJECTS + 1) if n not in taken | retired | known)
    # Numbers of objects that are no more are given away only if all others are in use.
    last = (n for n in range(1, MAX_OBJECTS + 1) if n not in taken)
    numbers, new = [], set()
    for source in owners:
        if own[source]:
            numbers.append(own[source].pop(0))
            continue
        new.add(source)
        number = next(spare, None) or next(n for n in last if n not in numbers)
        numbers.append(number)
    used = {*numbers, *(number for record in kept for number in record.numbers)}
    return Numbering(tuple(numbers), frozenset(new), tuple(sorted((known | retired) - used)))


def _earlier(
    clip: TrackedClip, source: Source, records: Sequence[SourceRecord]
) -> SourceRecord | None:
    """The entry that an expression had before: of the same key, or else of the same region."""
    key, names = clip.key(source), {*clip.sources[source]}
    same = (record for record in records if record.key == key)
    alike = (record for record in records if names & {*record.regions})
    return next(same, None) or next(alike, None)
