"""Which mask belongs to which frame: by number, by time, or by order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from grainspec.clip.facts import ClipFacts
from grainspec.clip.matching import match_frames, rates, same_rate
from grainspec.diagnostics import Diagnostic, fail
from grainspec.model.expressions import MaskFiles
from grainspec.regions.mask_readers import MaskReader

_MOST_RANGES = 3


def mask_numbers(
    source: MaskFiles,
    reader: MaskReader,
    facts: ClipFacts,
    frames: Sequence[int],
    clip: Path | None,
    report: list[Diagnostic],
) -> list[int | None]:
    """The number of each frame's mask, or None for one that is missing and may be.

    What is doubtful is appended to ``report``. Raises GrainError: G305 for the first frame without
    a mask, G326 for a video of another duration.
    """
    there: Sequence[int] = reader.numbers
    if source.in_order:
        there = [number for number in there if number >= source.first]
        wanted = [there[frame] if frame < len(there) else None for frame in frames]
    elif reader.facts and clip and not source.first:
        wanted = [*_of_video(source, reader, reader.facts, facts, frames, clip, report)]
    else:
        first = facts.first if _of_files(source, reader, facts) else source.first
        wanted = [frame + first for frame in frames]
        report += _doubts(source, reader, facts, clip)
    known = there if isinstance(there, range) else {*there}
    found = [number if number in known else None for number in wanted]
    present = [frame for frame, number in zip(frames, found, strict=True) if number is not None]
    if len(present) == len(frames) or (present and source.missing == "empty"):
        return found
    missing = next(frame for frame, number in zip(frames, found, strict=True) if number is None)
    message = f"frame {missing} has no mask in {reader.place}"
    cure = _cure(source, there, frames, present)
    if _like_files(source, reader, facts) and "`from" not in cure:
        cure += f" If they have the numbers of the clip's files, write `from {facts.first}`."
    raise fail("G305", message, cure, source.span)


def _of_files(source: MaskFiles, reader: MaskReader, facts: ClipFacts) -> bool:
    """Whether masks have the numbers of the files of a clip that does not begin at 0.

    Then some number is beyond the last frame, as frames are counted from 0, and all are a file's.
    """
    there = reader.numbers
    return _like_files(source, reader, facts) and there[-1] >= facts.frames


def _like_files(source: MaskFiles, reader: MaskReader, facts: ClipFacts) -> bool:
    """Whether the numbers of masks can be those of a clip's files."""
    if not facts.first or source.first or source.in_order:
        return False
    there = reader.numbers
    if reader.facts or reader.uncounted or reader.by_order or not there:
        return False
    return facts.first <= there[0] and there[-1] < facts.first + facts.frames


def _of_video(
    source: MaskFiles,
    reader: MaskReader,
    own: ClipFacts,
    facts: ClipFacts,
    frames: Sequence[int],
    clip: Path,
    report: list[Diagnostic],
) -> tuple[int, ...]:
    """The frames of a mask video; raise GrainError (G326) if it does not match the clip."""
    match = match_frames(clip, facts, reader.place, own, frames)
    message = f"the masks {reader.place} have {rates(facts, own)}"
    if match is None:
        cure = f"Export them again with {facts.frames} frames, as the clip has. If mask k belongs "
        cure += "to frame k, write `masks(…, in_order)`."
        raise fail("G326", f"{message}: they do not match", cure, source.span)
    if match.how == "time":
        cure = "If mask k belongs to frame k, write `masks(…, in_order)`."
        message += ": they are matched by time"
        report.append(Diagnostic("G324", message, cure, source.span))
    elif match.how == "doubtful":
        cure = "If that is right, write `masks(…, in_order)`."
        message += ": mask k is used for frame k"
        report.append(Diagnostic("G324", message, cure, source.span))
    return match.numbers


def _doubts(
    source: MaskFiles, reader: MaskReader, facts: ClipFacts, clip: Path | None
) -> list[Diagnostic]:
    """Warn if masks without numbers of their own may not be the clip's."""
    count = len(reader.numbers)
    if _like_files(source, reader, facts) and not _of_files(source, reader, facts):
        message = f"the masks in {reader.place} are numbered {reader.numbers[0]} to "
        message += f"{reader.numbers[-1]}, and the files of the clip {facts.first} to "
        message += f"{facts.first + facts.frames - 1}: mask k is used for frame k, counted from 0"
        cure = f"If masks have the numbers of the clip's files, write `from {facts.first}`."
        return [Diagnostic("G324", message, cure, source.span)]
    if reader.facts and clip and not same_rate(clip, facts, reader.place, reader.facts):
        message = f"the masks {reader.place} have {rates(facts, reader.facts)}"
        message += ": they are matched by number"
    elif reader.by_order and not source.first:
        message = f"the masks in {reader.place} are matched to frames by order: {reader.by_order}"
    elif reader.uncounted and not source.first and count > facts.frames:
        message = f"{reader.place} has {count} masks, and the clip {facts.frames} frames: mask k "
        message += "is used for frame k"
    else:
        return []
    cure = (
        "If that is right, write `in_order`."
        if source.first
        else ("If that is right, write `masks(…, in_order)`.")
    )
    return [Diagnostic("G324", message, cure, source.span)]


def _cure(
    source: MaskFiles, there: Sequence[int], frames: Sequence[int], present: Sequence[int]
) -> str:
    """Say which masks exist, and the option that fits them to the frames, if there is one."""
    if source.in_order:
        return f"`in_order` found {len(there)} masks, one per source frame from frame 0."
    run = f"The masks are numbered {there[0]} to {there[-1]}"
    known = {*there}
    first = there[0] - frames[0]
    if all(frame + first in known for frame in frames):
        clip = f"the edited source frames {frames[0]} to {frames[-1]}"
        return f"{run}, {clip}. If they belong together, write `from {first}`."
    missing = len(frames) - len(present)
    cure = f"{run}; {missing} of {len(frames)} frames have no mask."
    if len(there) > frames[-1] and there[-1] - there[0] >= len(there) and _evenly_spaced(there):
        cure += " If they follow each other frame by frame, write `in_order`."
    if present:
        cure += " If the object is not visible there, write "
        cure += " or ".join(f"`{text}`" for text in _without(source, frames, present))
        cure += ": the region is then empty on these frames."
    return cure


def _evenly_spaced(numbers: Sequence[int]) -> bool:
    """Whether numbers rise in steps of the same size, but for rounding."""
    steps = [high - low for low, high in pairwise(numbers)]
    return not steps or max(steps) - min(steps) <= 1


def _without(source: MaskFiles, frames: Sequence[int], present: Sequence[int]) -> list[str]:
    """Region expressions that are empty on the frames without masks."""
    plain = source.model_fields_set <= {"kind", "path"}
    masks = f'masks("{source.path}")' if plain else "masks(…)"
    ways = [f"{masks[:-1]}, missing empty)"]
    ranges: list[list[int]] = []
    known = {*present}
    for before, frame in zip([None, *frames], frames, strict=False):
        if frame not in known:
            continue
        if ranges and ranges[-1][1] == before:
            ranges[-1][1] = frame
        else:
            ranges.append([frame, frame])
    if len(ranges) <= _MOST_RANGES:
        ways.append(" | ".join(f"{masks} during {low}..{high}" for low, high in ranges))
    return ways
