"""Checks of the prompts of editing methods that follow the difference between two flows."""

from __future__ import annotations

from collections.abc import Iterator

from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.span import Span
from grainspec.model.spec import EditSpec


def check_flow_prompts(spec: EditSpec, editor: str, span: Span | None) -> Iterator[Diagnostic]:
    """Check that the source prompt exists, and differs from the target (G117).

    ``editor`` is what edits by their difference, as messages say it, and ``span`` its place.
    """
    words = spec.source.split()
    if not words:
        message = f"{editor} has no source prompt to compare the target with"
        cure = 'Describe the clip as it is: `source "a man on grass"`, in the words of `target` '
        cure += "except for what is edited."
        yield Diagnostic("G117", message, cure, spec.span_of("source") or span)
    elif words == spec.target.split():
        message = f"`source` and `target` are the same, and {editor} edits by their difference"
        cure = "Write in `source` what the clip shows, and in `target` what the edit shows."
        yield Diagnostic("G117", message, cure, spec.span_of("source"))
