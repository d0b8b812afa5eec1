"""Regions, prompts and keyframes that are deleted."""

from __future__ import annotations

from grainspec.analysis.edits import TextEdit
from grainspec.analysis.gestures.binding import removed_claim
from grainspec.analysis.gestures.keyframes import without_keyframe
from grainspec.analysis.gestures.prompts import without_prompt
from grainspec.analysis.gestures.spec_text import SpecText, WrittenRegion, named, references
from grainspec.analysis.gestures.taken_out import removed_with_comment
from grainspec.analysis.gestures.written_shapes import WrittenShape
from grainspec.diagnostics import fail


def removed_shape(
    written: SpecText, region: WrittenRegion, drawing: WrittenShape, frame: int, *, cascade: bool
) -> list[TextEdit]:
    """The edits that remove a prompt, or the keyframe on a frame; with the last one, the region.

    Raises GrainError: G711 for a shape that the region's expression cannot do without, G713 as
    :func:`removed_region` does.
    """
    if drawing.track is not None and len(drawing.track.prompts) > 1:
        return without_prompt(written.text, drawing)
    if len(drawing.keys) > 1:
        return without_keyframe(written.text, drawing, frame)
    expression = region.expression
    alone = expression.data in ("call", "keyframes") and expression.meta.start_pos in (
        drawing.key.start,
        drawing.track.call.meta.start_pos if drawing.track else drawing.key.start,
    )
    if not alone:
        message = f"region `{region.name}` is made of this shape and of others"
        raise fail("G711", message, "Change its expression in the text.")
    return removed_region(written, region, cascade=cascade)


def removed_region(written: SpecText, region: WrittenRegion, *, cascade: bool) -> list[TextEdit]:
    """The edits that remove a region; with ``cascade``, the statements that use it too.

    Raises GrainError (G713) if something uses it, even with ``cascade`` if that is another region.
    """
    name = named(region.name)
    for other in written.regions.values():
        if other is not region and name in map(named, references(other.expression)):
            message = f"region `{name}` is used by region `{other.name}`"
            raise fail("G713", message, f"Change or delete region `{other.name}` first.")
    claims = [claim for claim in written.claims if claim.region == name]
    if claims and not cascade:
        lines = ", ".join(dict.fromkeys(str(claim.statement.span.line) for claim in claims))
        message = f"region `{name}` is used in line {lines}"
        raise fail("G713", message, "Remove that statement first, or delete both.")
    removed = [removed_claim(written, claim, with_comment=True) for claim in claims]
    edits = [edit for one in removed for edit in one]
    return [*dict.fromkeys(edits), removed_with_comment(written, region.statement)]
