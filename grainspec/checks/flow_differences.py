"""Checks of prompts and guidance for what edits by the difference between two flows."""

from __future__ import annotations

from collections.abc import Iterator

from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.span import Span
from grainspec.model.numbers import decimal_text
from grainspec.model.spec import EditSpec, Sampler


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


def check_flow_scales(sampler: Sampler, editor: str) -> Iterator[Diagnostic]:
    """Check that the target is guided, by each expert (G111), and as the source or more (G118)."""
    source = decimal_text(sampler.source_guidance)
    for setting in ("guidance", "low_noise_guidance"):
        scale = getattr(sampler, setting)
        if scale is None:
            continue
        written = f"{setting} {decimal_text(scale)}"
        if scale == 0:
            message = f"`target` has no effect with `{written}`: only the negative prompt is read"
            enough = min(2 * sampler.source_guidance, 100) or 10
            cure = f"Write a `{setting}` above `source_guidance`, such as "
            cure += f"`{setting} {decimal_text(enough)}`."
            yield Diagnostic("G111", message, cure, sampler.span_of(setting))
        elif scale < sampler.source_guidance:
            message = f"`source_guidance {source}` is larger than `{written}`"
            cure = f"Write `source_guidance {decimal_text(scale)}` or less. {editor} edits by the "
            cure += "difference of the two, and guides the target at least as strongly as the "
            cure += "source."
            where = sampler.spans.get("source_guidance") or sampler.span_of(setting)
            yield Diagnostic("G118", message, cure, where)
