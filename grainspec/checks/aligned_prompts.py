"""Checks of prompts for methods that take over the source's attention, word by word (G565)."""

from __future__ import annotations

from collections.abc import Iterator

from grainspec.diagnostics import Diagnostic
from grainspec.model.settings.method import Method
from grainspec.model.spec import Edit, EditSpec
from grainspec.prompt_alignment import align_prompts
from grainspec.words import CharSpan, bind_phrases, word_spans


def check_aligned_prompts(spec: EditSpec, method: Method) -> Iterator[Diagnostic]:
    """Warn (G565) if the source prompt lacks words that a method compares with the target's."""
    theirs, ours = word_spans(spec.source), word_spans(spec.target)
    if not theirs:
        message = f"`source` is empty, so `method {method.name}` keeps attention to no word"
        cure = "Describe the clip as it is, in the words of `target` except for what is edited."
        yield Diagnostic("G565", message, cure, spec.span_of("source") or method.span)
        return
    if method.modulates or method.name != "fatezero" or method.mask_threshold == 1:
        return
    alignment = align_prompts(spec.source, spec.target, theirs, ours)
    edits = [change for change in spec.changes if isinstance(change, Edit)]
    bound = bind_phrases([edit.phrase for edit in edits], spec.target)
    for edit, spans in zip(edits, bound, strict=True):
        words = [at for at, word in enumerate(ours) if any(_overlap(word, it) for it in spans)]
        if words and not alignment.sources(words):
            message = f"no word of `source` corresponds to “{edit.phrase}”, so `method fatezero` "
            message += "does not find where it is: self-attention stays the source's there"
            cure = "Name in `source` what is there now, or write `regions attention`."
            yield Diagnostic("G565", message, cure, edit.span_of("phrase"))


def _overlap(one: CharSpan, other: CharSpan) -> bool:
    return one[0] < other[1] and other[0] < one[1]
