"""The numbers of objects in the images of tracked masks: an object keeps its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grainspec.regions.tracked.manifest import MAX_OBJECTS, SourceRecord, TrackedManifest
from grainspec.regions.tracked.sources import Source, TrackedClip


@dataclass(frozen=True)
class Numbering:
    """``numbers`` of the objects, in their order.

    ``new`` are the expressions with objects that had no number before, ``retired`` the numbers of
    objects that are tracked no more. ``earlier`` are the entries that expressions had before.
    """

    numbers: tuple[int, ...]
    new: frozenset[Source]
    retired: tuple[int, ...]
    earlier: Mapping[Source, SourceRecord]

    def lacking(self, source: Source, repaired: Sequence[int]) -> tuple[int, ...]:
        """Of the frames whose repaired image stays, those repaired before it had objects."""
        if source in self.new:
            return tuple(repaired)
        return tuple(frame for frame in self.earlier[source].kept if frame in repaired)


def numbered(
    clip: TrackedClip,
    owners: Sequence[Source],
    manifest: TrackedManifest | None,
    kept: Sequence[SourceRecord],
) -> Numbering:
    """Number objects: as ``manifest`` has them, else by numbers that are free, from 1.

    ``owners`` are the expressions of the objects, ``kept`` the entries of others, whose numbers
    stay theirs. An expression that changed is recognised by its region, if that had no other one.
    """
    before = [*manifest.sources] if manifest else []
    retired = {*manifest.retired} if manifest else set()
    known = {number for record in before for number in record.numbers}
    taken = {number for record in kept for number in record.numbers}
    sources = list(dict.fromkeys(owners))
    earlier = _earlier(clip, sources, [one for one in before if not {*one.numbers} & taken])
    own = {one: [*earlier[one].numbers] if one in earlier else [] for one in sources}
    taken |= {number for numbers in own.values() for number in numbers}
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
    gone = tuple(sorted((known | retired) - used))
    return Numbering(tuple(numbers), frozenset(new), gone, earlier)


def _earlier(
    clip: TrackedClip, sources: Sequence[Source], records: Sequence[SourceRecord]
) -> dict[Source, SourceRecord]:
    """The entries that expressions had before: those of the same key, then of the same region.

    Keys go first for all of them, as an object may have the name now that another one had. Of
    several entries of a region, one with the same regions and of the same kind is preferred.
    """
    by_key = {record.key: record for record in records}
    keys = {source: clip.key(source) for source in sources}
    earlier = {source: by_key[key] for source, key in keys.items() if key in by_key}
    rest = [record for record in records if record not in earlier.values()]
    for source in sources:
        names, finds = {*clip.sources[source]}, source.kind == "find"
        alike = [record for record in rest if names & {*record.regions}]
        if source not in earlier and alike:
            differs = [({*one.regions} != names, (one.finder is None) == finds) for one in alike]
            earlier[source] = alike[differs.index(min(differs))]
            rest.remove(earlier[source])
    return earlier
