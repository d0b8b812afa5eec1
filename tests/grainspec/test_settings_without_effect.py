"""Settings of `sampler` and `control` that have no effect are warnings."""

from __future__ import annotations

import pytest

from grainspec import parse_all

HEAD = 'grain 1 video "c" target "a hat" region r = all edit r -> "hat"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sampler { seed 3 }", "`seed 3` has no effect: nothing is random with `eta 0`"),
        ("sampler dpmpp { seed 3 }", "`seed 3` has no effect"),
        ("sampler { eta 0.5 } variant v { sampler { eta 0  seed 3 } }", "`seed 3` has no effect"),
        ("control depth { keypoints hands }", "it is for `control pose`"),
        ("control canny { depth_values metric }", "it is for `control depth` and `control zoe`"),
        ('control pose { clip "p.mp4"  keypoints hands }', "no effect with `clip`"),
        ('control depth { clip "p.mp4"  annotator "a/b" }', "no effect with `clip`"),
        ("control pose { keypoints full }", "the demo model, which detects bodies only"),
    ],
)
def test_settings_without_effect(text: str, message: str) -> None:
    [found] = parse_all(HEAD + text).diagnostics
    assert found.code == "G111"
    assert message in found.message
    assert found.span is not None
    assert found.span.line == 2
    assert (HEAD + text).split("\n")[1][found.span.column - 1 :][0] not in " {"


@pytest.mark.parametrize(
    "text",
    [
        "sampler { seed 0 }",
        "sampler { seed 3  eta 0.1 }",
        "sampler { eta 0.1 } variant v { sampler { seed 3 } }",
        'control pose { keypoints full } model "a/b"',
        'control pose { keypoints full  annotator "a/b" }',
        'control zoe { depth_values metric } model "a/b"',
    ],
)
def test_settings_with_an_effect(text: str) -> None:
    assert parse_all(HEAD + text).diagnostics == ()
