"""Prompts of `track(…)`: added, redrawn and removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lark import Token, Tree

from grainspec.analysis.edits import TextEdit
from grainspec.analysis.gestures.keyframes import call_text
from grainspec.analysis.gestures.lengths import Extent, Share, length_edits, unit_of
from grainspec.analysis.gestures.taken_out import removed_item
from grainspec.analysis.gestures.written_shapes import Track, WrittenShape
from grainspec.diagnostics import fail
from grainspec.text.kinds import quoted


@dataclass(frozen=True)
class NewPrompt:
    """A prompt to be written: a point, a shape, or the path of a mask, on a frame."""

    kind: str
    frame: int
    shares: Sequence[Share] = ()
    inside: bool = True
    path: str = ""

    def text(self, unit: str, extent: Extent | None) -> str:
        """Its call, without its frame."""
        if self.kind == "masks":
            return f"masks({quoted(self.path)})"
        call = call_text(self.kind, self.shares, [unit] * len(self.shares), extent)
        return call if self.inside else f"not {call}"


def added_prompt(
    track: Track, new: NewPrompt, unit: str, extent: Extent | None, first: int | None
) -> list[TextEdit]:
    """The edits that add a prompt to a track, among those of its frame.

    ``first`` is the first frame in use, on which prompts without `@` are. A shape on a frame that
    has one of its kind takes its place.
    """
    frames = [_frame(prompt, first) for prompt in track.prompts]
    here = [one for one, frame in zip(track.prompts, frames, strict=True) if frame == new.frame]
    known = _known(here, new, extent)
    if known is not None:
        return known
    text = new.text(unit, extent)
    if here:
        end = here[-1].key.call.meta.end_pos
        return [TextEdit(end, end, f", {text}")]
    edits = []
    last = track.prompts[-1].key
    if last.frame is None:  # none has a frame: all are on the first one
        edits = [TextEdit(last.end, last.end, f" @ {first}")]
    earlier = [at for at, frame in enumerate(frames) if frame < new.frame]
    if not earlier:
        start = track.prompts[0].key.start
        return [TextEdit(start, start, f"{text} @ {new.frame}, "), *edits]
    end = track.prompts[earlier[-1]].key.end
    if edits:
        return [TextEdit(end, end, f" @ {first}, {text} @ {new.frame}")]
    return [TextEdit(end, end, f", {text} @ {new.frame}")]


def _frame(prompt: WrittenShape, first: int | None) -> int:
    """The frame of a prompt; raises GrainError (G712) if the clip's first one is not known."""
    frame = prompt.key.frame if prompt.key.frame is not None else first
    if frame is None:
        message = "a prompt without `@` is on the first frame in use, which is not known"
        raise fail("G712", message, "Correct the `video` statement, or write `@ 0` after it.")
    return frame


def _known(
    here: Sequence[WrittenShape], new: NewPrompt, extent: Extent | None
) -> list[TextEdit] | None:
    """The edits if a prompt is there already, or its shape only takes another place; else None."""
    for prompt in here:
        if prompt.kind != new.kind:
            continue
        if new.kind == "masks":
            path = _string(prompt.key.call)
            return [TextEdit(path.start_pos or 0, path.end_pos or 0, quoted(new.path))]
        numbers = prompt.key.numbers
        if len(numbers) != len(new.shares):  # another outline
            call = prompt.key.call.meta
            text = new.text(unit_of(numbers[0]), extent)
            return [TextEdit(call.start_pos, call.end_pos, text)]
        edits = length_edits(numbers, new.shares, extent)
        if new.kind != "point" or (not edits and prompt.inside == new.inside):
            return edits
    return None


def _string(call: Tree[Token]) -> Token:
    """The path in a call of `masks(…)`."""
    tokens = call.scan_values(lambda part: isinstance(part, Token))
    return next(token for token in tokens if isinstance(token, Token) and token.type == "STRING")


def without_prompt(text: str, prompt: WrittenShape) -> list[TextEdit]:
    """The edits that remove a prompt of several; those before it keep their frame."""
    assert prompt.track is not None
    prompts = prompt.track.prompts
    index = next(at for at, one in enumerate(prompts) if one is prompt)
    ranges = [(one.key.start, one.key.end) for one in prompts]
    before = prompts[index - 1] if index else None
    if before is not None and before.key.frame == prompt.key.frame and not _has_frame(before):
        ranges[index] = (prompt.key.start, prompt.key.call.meta.end_pos)
    return removed_item(text, ranges, index)


def _has_frame(prompt: WrittenShape) -> bool:
    """Whether `@` stands after the prompt itself."""
    return prompt.key.end > prompt.key.call.meta.end_pos
