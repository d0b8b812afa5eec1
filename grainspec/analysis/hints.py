"""What an editor shows between the words: shares, resolved strengths, unused keyframes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from grainspec.analysis.checks import FileFacts
from grainspec.analysis.document import Document
from grainspec.analysis.gestures.spec_text import spec_text_of
from grainspec.analysis.gestures.written_shapes import written_shapes
from grainspec.analysis.strengths import profile_of, strengths_of
from grainspec.model.numbers import percent_text
from grainspec.model.spec import Edit, EditSpec


class Hint(NamedTuple):
    """A note after the character before ``offset``, and more about it."""

    offset: int
    text: str
    tooltip: str


def hints(document: Document, facts: FileFacts | None, start: int, end: int) -> list[Hint]:
    """The notes between two offsets.

    Shares are known once the files are checked; strengths follow from the text, and are those of
    the first frame where the share is known.
    """
    spec = document.spec
    if spec is None:
        return []
    facts = facts or FileFacts()
    found = [
        *_shares(document, facts),
        *_strengths(document, spec, facts),
        *_unused_keyframes(document, spec),
    ]
    return sorted({one for one in found if start <= one.offset <= end})


def share_text(share: float) -> str:
    """A share of the frame in words: whole percents from 10 on."""
    if 0 < share < 0.001:
        return "< 0.1%"
    return percent_text(round(share, 2 if share >= 0.1 else 3))


def _shares(document: Document, facts: FileFacts) -> Iterator[Hint]:
    tooltip = "the region's share of the first frame"
    for name in document.symbols:
        if name.kind == "region" and name.defines and name.name in facts.shares:
            yield Hint(name.end, share_text(facts.shares[name.name]), tooltip)


def _unused_keyframes(document: Document, spec: EditSpec) -> Iterator[Hint]:
    """Keyframes on frames that the spec leaves out: they are not seen, only aimed at."""
    frames, step = spec.video.frames, spec.video.step
    if frames is None and step == 1:
        return
    first, last = (frames.first, frames.last) if frames else (0, None)
    words = [f"frames {first}..{last}"] * (last is not None) + [f"step {step}"] * (step > 1)
    mark = document.text.startswith("\ufeff")
    for region in spec_text_of(document.text[mark:]).regions.values():
        for key in (key for shape in written_shapes(region) for key in shape.keys if shape.moves):
            assert key.frame is not None
            after = last is not None and key.frame > last
            if after or key.frame < first or (key.frame - first) % step:
                tooltip = f"the spec leaves this frame out (`{' '.join(words)}`); the keyframe "
                tooltip += "counts only for the used frames between it and the next one"
                yield Hint(key.end + mark, f"frame {key.frame} unused", tooltip)


def _strengths(document: Document, spec: EditSpec, facts: FileFacts) -> Iterator[Hint]:
    names = {variant.number: variant.name for variant in document.variants}
    own = [one.edits for one in spec.variants]
    yield from _of_edits(document, spec.edits, spec, facts)
    for number, edits in enumerate(own, 1):
        name = names.get(number, "")
        if name in spec.variant_names:
            yield from _of_edits(document, edits, spec.as_variant(name), facts)


def _of_edits(
    document: Document, edits: object, spec: EditSpec, facts: FileFacts
) -> Iterator[Hint]:
    profile = profile_of(spec, facts.profile)
    modulation = spec.for_profile(profile).modulation
    for edit in edits if isinstance(edits, tuple) else ():
        if not isinstance(edit, Edit) or edit.span is None:
            continue
        found = strengths_of(edit, modulation, facts.shares, facts.frames)
        share = "" if found.share is None else f" × (1 − {share_text(found.share)} of the frame)"
        if found.share is not None and found.divided > 1:
            part = f"{share_text(found.share)} / {found.divided} frames"
            share += f", in self-attention × (1 − {part})"
        tooltip = (
            f"profile `{profile}`: cross {modulation.cross:g}, self {modulation.self_:g}, "
            f"until {percent_text(modulation.until)}, decay {modulation.decay:g}; "
            f"times weight {edit.weight:g}{share}, at most 1"
        )
        yield Hint(document.positions.offsets(edit.span)[1], found.text(), tooltip)
