"""Bind one mask source to a clip, and apply the cures that its errors propose."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from clips import ClipFolder

import grainspec
from grainspec import GrainError, parse
from grainspec.checks.files import check_files
from grainspec.diagnostics import Diagnostic
from grainspec.regions.bind import bind_regions

WHOLE = 'video "clip"'


def spec_of(clip: ClipFolder, source: str, video: str = WHOLE) -> str:
    return clip.spec_text(
        video=video, regions=f"region left = {source}", edits='edit left -> "green robot"'
    )


def region(clip: ClipFolder, source: str, video: str = WHOLE) -> np.ndarray:
    """The pixels of a region of masks, ``[F, H, W]``; raises GrainError."""
    return bind_regions(parse(spec_of(clip, source, video)), clip.root).regions.mask("left")


def all_findings(clip: ClipFolder, source: str, video: str = WHOLE) -> list[Diagnostic]:
    """What `grain check` says about a spec with a region of masks, regions included."""
    return grainspec.check(parse(spec_of(clip, source, video)), base=clip.root)


def findings(clip: ClipFolder, source: str, video: str = WHOLE) -> list[Diagnostic]:
    """What `grain check` says about the files of a region of masks."""
    return check_files(parse(spec_of(clip, source, video)), clip.root)


def refused(clip: ClipFolder, source: str, video: str = WHOLE) -> Diagnostic:
    """The one error of a region of masks; checking and binding agree on it."""
    try:
        region(clip, source, video)
    except GrainError as error:
        (finding,) = error.diagnostics
        assert finding.span is not None
        assert [one for one in findings(clip, source, video) if one.is_error] == [finding]
        return finding
    raise AssertionError(f"{source} is not refused")


def warned(clip: ClipFolder, source: str, video: str = WHOLE) -> Diagnostic:
    """The one warning of a region of masks."""
    (finding,) = findings(clip, source, video)
    assert not finding.is_error
    return finding


def cured(source: str, finding: Diagnostic) -> Sequence[str]:
    """The sources that result from pasting what a finding's cure proposes in backticks."""
    arguments = source[source.index("(") + 1 : -1]
    made = []
    for text in re.findall(r"`([^`]+)`", finding.cure):
        if "masks(" in text:
            made.append(text.replace("…", arguments))
        elif re.match(r"(threshold|index|colour|label|from|in_order|missing|alpha|scaled)\b", text):
            made.append(f"masks({arguments}, {text})")
    assert made, f"no cure can be pasted: {finding.cure}"
    return made
