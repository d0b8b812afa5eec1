"""Whether a text can be a spec at all."""

from __future__ import annotations

import re

from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.span import Span
from grainspec.limits import MAX_SPEC_CHARACTERS


def unreadable(text: str) -> Diagnostic | None:
    """The finding (G006) for a text that is too long or has control characters."""
    if len(text) > MAX_SPEC_CHARACTERS:
        message = f"the text has {len(text)} characters, more than {MAX_SPEC_CHARACTERS}"
        return Diagnostic("G006", message, "Split it into several files.")
    for number, line in enumerate(text.split("\n"), 1):
        bad = re.search(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]", line)
        if bad:
            message = f"invalid character U+{ord(bad[0]):04X}"
            span = Span(number, bad.start() + 1, number, bad.end() + 1)
            return Diagnostic("G006", message, "Save the file as plain UTF-8 text.", span)
    return None
