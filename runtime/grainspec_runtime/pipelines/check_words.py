"""Check that a pipeline's text encoders and tokenizers are those that a plan was compiled for."""

from __future__ import annotations

from collections.abc import Sequence

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.text_tokens import tokens_of
from grainspec.words import CharSpan


def check_can_isolate(plan: MaskPlan, *, can_encode: bool) -> None:
    """Raise GrainError (G404) if a plan isolates phrases that a pipeline cannot encode."""
    if plan.attention.phrases == "isolated" and not can_encode:
        message = "the plan isolates phrases, but the pipeline has no text encoder to encode them"
        cure = "Load one, or compile the plan with `attention { phrases in_context }`."
        raise fail("G404", message, cure)


def check_length(plan: MaskPlan, length: int, tokenizer: str, cure: str) -> None:
    """Raise GrainError (G404) if a tokenizer yields another number of text tokens than planned."""
    planned = plan.words_ET.shape[1]
    if length != planned:
        message = f"the plan is for {planned} text tokens, "
        raise fail("G404", message + f"but the pipeline's {tokenizer} yields {length}", cure)


def check_places(plan: MaskPlan, places: Sequence[CharSpan], tokenizer: str, cure: str) -> None:
    """Raise GrainError (G404) if a tokenizer puts the words of an edit at other text tokens.

    ``places`` are its character spans of the target prompt, by text token. ``tokenizer`` is its
    name in the pipeline.
    """
    for edit in plan.edits:
        for span, tokens in zip(edit.spans, edit.tokens, strict=True):
            theirs = tokens_of(span, places)
            if theirs != tuple(tokens):
                message = (
                    f"“{edit.phrase}” is tokens {list(tokens)} in the plan, "
                    f"but {list(theirs)} in the pipeline's {tokenizer}"
                )
                raise fail("G404", message, cure)
