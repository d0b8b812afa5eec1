"""Hints between the words of a text."""

from __future__ import annotations

import pytest

from grainspec.analysis.checks import FileFacts
from grainspec.analysis.document import Document
from grainspec.analysis.hints import hints

TEXT = """grain 1
video "c.mp4" { frames 4..12 step 2 }
target "a bear"
region a = box(0%, 0%, 9%, 9%) @ 2, box(1%, 1%, 9%, 9%) @ 4, box(2%, 2%, 9%, 9%) @ 7,
           box(3%, 3%, 9%, 9%) @ 12, box(4%, 4%, 9%, 9%) @ 59
edit a -> "bear"
"""


@pytest.mark.parametrize(
    ("video", "unused"),
    [
        (" { frames 4..12 step 2 }", ["@ 2", "@ 7", "@ 59"]),
        (" { frames 4..12 }", ["@ 2", "@ 59"]),
        (" { step 2 }", ["@ 7", "@ 59"]),
        ("", []),
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_keyframes_on_frames_that_are_left_out_are_told(
    video: str, unused: list[str], mark: str
) -> None:
    text = mark + TEXT.replace(" { frames 4..12 step 2 }", video)
    found = hints(Document(text, None), None, 0, len(text))
    told = [one for one in found if one.text.endswith("unused")]
    ends = [text.rfind("@", 0, one.offset) for one in told]
    assert [text[start : one.offset] for start, one in zip(ends, told, strict=True)] == unused
    assert [one.text for one in told] == [f"frame {at[2:]} unused" for at in unused]
    assert all("frames 4..12" in one.tooltip for one in told if "frames" in video)


@pytest.mark.parametrize(
    ("attention", "shown", "told"),
    [
        (
            "",
            "cross 0.25, self 0.24",
            "75% of the frame), in self-attention × (1 − 75% / 4 frames)",
        ),
        ("attention { self_area share }", "cross 0.25, self 0.07", "75% of the frame), at most 1"),
        ("attention { frames each }", "cross 0.25, self 0.07", "75% of the frame), at most 1"),
    ],
)
def test_strengths_of_edits_depend_on_the_area(attention: str, shown: str, told: str) -> None:
    """By the profile `videograin` in self-attention on an area divided by the frames."""
    text = 'grain 1\nvideo "c"\nmodel "a/b"\ntarget "a cat"\nregion r = all\nedit r -> "cat"\n'
    facts = FileFacts(shares={"r": 0.75}, frames=4)
    found = hints(Document(text + attention, None), facts, 0, len(text))
    assert [one.text for one in found] == ["75%", shown]
    assert told in found[1].tooltip
