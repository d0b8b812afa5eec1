"""Mistakes that people make: what is said about each, where, and that its cure works.

Each row is a line of a good spec, as somebody else would write it. The finding has one sentence and
one place; after its correction is applied, or what its cure proposes is pasted there, nothing is
found, and the line is the right one.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from grainspec import parse_all
from grainspec.diagnostics import Diagnostic, Fix
from grainspec.diagnostics.fixing import apply_fixes, fix_text
from grainspec.diagnostics.span import Span

GOOD = """\
grain 1
video "clip.mp4"
target "a green robot and a yellow bear with a hat on grass before Spiderman"
region left  = box(0%, 0%, 40%, 100%)
region right = box(50%, 0%, 90%, 100%)
edit left -> "green robot"
edit right -> "yellow bear"
"""
LINES = GOOD.splitlines()


class Mistake(NamedTuple):
    line: str
    """The line of GOOD that it replaces; empty for one more line at the end."""
    wrong: str
    code: str
    sentence: str
    place: str
    right: str
    paste: str = ""
    """What the cure proposes, where the correction is not certain; it goes to the place."""


VIDEO, TARGET, REGION, EDIT, MORE = LINES[1], LINES[2], LINES[3], LINES[5], ""

PLANTED = [
    Mistake(
        EDIT,
        'edit left -> "man"',
        "G104",
        "in the target prompt “man” is only part of “Spiderman”",
        '"man"',
        'edit left -> "Spiderman"',
        '"Spiderman"',
    ),
    Mistake(
        REGION,
        "region left  = box(0.1, 0.2, 0.5, 0.25)",
        "G202",
        "the sides are written as shares of the frame: `0.1, 0.2, 0.5, 0.25`",
        "0.1, 0.2, 0.5, 0.25",
        "region left  = box(10%, 20%, 50%, 25%)",
    ),
    Mistake(
        EDIT,
        'edit left: "green robot"',
        "G003",
        "`edit` needs `->` before the words, not `:`",
        ":",
        'edit left -> "green robot"',
    ),
    Mistake(
        EDIT,
        'edit left instance -> "green robot"',
        "G001",
        "`instance` goes before the region",
        "left instance",
        'edit instance left -> "green robot"',
    ),
    Mistake(
        REGION,
        r'region left  = masks("layout\trunk")',
        "G012",
        r"a path has `/` between folders, not `\`",
        r'"layout\trunk"',
        'region left  = masks("layout/trunk")',
    ),
    Mistake(
        VIDEO,
        r'video "C:\Users\new\tree.mp4"',
        "G012",
        r"a path has `/` between folders, not `\`",
        r'"C:\Users\new\tree.mp4"',
        'video "C:/Users/new/tree.mp4"',
    ),
    Mistake(
        EDIT,
        'edit left -> "green robot" { weight 1.2',
        "G011",
        "`{` is not closed",
        "",
        'edit left -> "green robot" { weight 1.2 }',
    ),
    Mistake(
        REGION,
        "region left  = box(0%, 0%, 40%, 100%",
        "G011",
        "`(` is not closed",
        "",
        "region left  = box(0%, 0%, 40%, 100%)",
    ),
    Mistake(
        EDIT,
        'EDIT left -> "green robot"',
        "G001",
        "`EDIT` is not in lower case, as all words of the language are",
        "EDIT",
        'edit left -> "green robot"',
    ),
    Mistake(
        REGION,
        "regoin left  = box(0%, 0%, 40%, 100%)",
        "G001",
        "unknown statement `regoin`",
        "regoin",
        "region left  = box(0%, 0%, 40%, 100%)",
    ),
    Mistake(
        TARGET,
        TARGET.replace("target", "prompt"),
        "G001",
        "unknown statement `prompt`",
        "prompt",
        TARGET,
    ),
    Mistake(
        VIDEO,
        'video "clip.mp4" { frames 0-30 }',
        "G202",
        "`0-30` is not a range: the first and the last, with `..` between",
        "frames 0-30",
        'video "clip.mp4" { frames 0..30 }',
    ),
    Mistake(
        EDIT,
        'edit left -> ""',
        "G203",
        "an edit needs words: what the region becomes",
        'edit left -> ""',
        "keep left",
        "keep left",
    ),
    Mistake(
        MORE,
        "// the robot",
        "G003",
        "comments begin with `#`",
        "// the robot",
        "# the robot",
    ),
    Mistake(
        VIDEO,
        'video "clip.mp4" { size 512*512 }',
        "G003",
        "`512*512` is not a size: width and height with `x` between",
        "512*512",
        'video "clip.mp4" { size 512x512 }',
    ),
    Mistake(
        MORE,
        "attention { levels [1, 2] }",
        "G003",
        "lists have no brackets: `[1, 2]`",
        "[1, 2]",
        "attention { levels 1 2 }",
    ),
    Mistake(
        EDIT,
        'edit left => "green robot"',
        "G001",
        "`=>` is not an arrow",
        "=>",
        'edit left -> "green robot"',
    ),
    Mistake(
        MORE,
        "attention { until 0.3 }",
        "G202",
        "invalid value `0.3` for `until`: a percentage from 0% to 100%",
        "0.3",
        "attention { until 30% }",
    ),
    Mistake(
        EDIT,
        'edit left -> "green robot" { weight 120% }',
        "G202",
        "invalid value `120%` for `weight`: a number from 0 to 4",
        "120%",
        'edit left -> "green robot" { weight 1.2 }',
    ),
    Mistake(
        MORE,
        "sampler { num_inference_steps 30 }",
        "G201",
        "unknown setting `num_inference_steps`",
        "num_inference_steps",
        "sampler { steps 30 }",
    ),
    Mistake(
        MORE,
        "guidance_scale 5",
        "G001",
        "unknown statement `guidance_scale`",
        "guidance_scale 5",
        "sampler { guidance 5 }",
    ),
]
"""The mistakes that the language's design names; three more are whole files, below."""

KINDS = [
    # words in place of those of the language
    Mistake(
        MORE,
        'negative_prompt "ugly"',
        "G001",
        "unknown statement `negative_prompt`",
        "negative_prompt",
        'negative "ugly"',
    ),
    Mistake(
        MORE,
        "cfg = 7",
        "G001",
        "unknown statement `cfg`",
        "cfg = 7",
        "sampler { guidance 7 }",
    ),
    Mistake(
        MORE,
        "sampler { cfg_scale 6 }",
        "G201",
        "unknown setting `cfg_scale`",
        "cfg_scale",
        "sampler { guidance 6 }",
    ),
    Mistake(
        MORE,
        "control depth { controlnet_conditioning_scale 0.5 }",
        "G201",
        "unknown setting `controlnet_conditioning_scale`",
        "controlnet_conditioning_scale",
        "control depth { scale 0.5 }",
    ),
    Mistake(
        MORE,
        "control depth { control_guidance_end 0.8 }",
        "G201",
        "unknown setting `control_guidance_end`",
        "control_guidance_end 0.8",
        "control depth { until 80% }",
    ),
    Mistake(
        VIDEO,
        'video "clip.mp4" { num_frames 16 }',
        "G201",
        "unknown setting `num_frames`",
        "num_frames 16",
        'video "clip.mp4" { frames 0..15 }',
    ),
    Mistake(
        VIDEO,
        'video "clip.mp4" { width 512 height 320 }',
        "G201",
        "unknown settings `width` and `height`",
        "width 512 height 320",
        'video "clip.mp4" { size 512x320 }',
    ),
    Mistake(
        MORE,
        "sampler DDIM { steps 20 }",
        "G202",
        "`DDIM` is not in lower case, as all words of the language are",
        "DDIM",
        "sampler ddim { steps 20 }",
    ),
    Mistake(
        EDIT,
        'instance left -> "green robot"',
        "G001",
        "unknown statement `instance`: `edit` is missing",
        "",
        'edit instance left -> "green robot"',
    ),
    Mistake(
        EDIT,
        'change left -> "green robot"',
        "G001",
        "unknown statement `change`",
        "change",
        'edit left -> "green robot"',
    ),
    # signs in place of those of the language
    Mistake(
        EDIT,
        "edit left -> “green robot”",
        "G003",
        "texts are written in straight double quotes, not as `“green robot”`",
        "“green robot”",
        'edit left -> "green robot"',
    ),
    Mistake(
        EDIT,
        "edit left -> 'green robot'",
        "G003",
        "texts are written in straight double quotes, not as `'green robot'`",
        "'green robot'",
        'edit left -> "green robot"',
    ),
    Mistake(
        EDIT,
        "edit left -> green robot",
        "G001",
        "texts and paths are written in quotes: `green robot`",
        "green robot",
        'edit left -> "green robot"',
    ),
    Mistake(
        EDIT,
        'edit left → "green robot"',
        "G003",
        "`→`, U+2192 (rightwards arrow), is not an arrow",
        "→",
        'edit left -> "green robot"',
    ),
    Mistake(
        EDIT,
        'edit left –> "green robot"',
        "G003",
        "`–>` is not an arrow",
        "–>",
        'edit left -> "green robot"',
    ),
    Mistake(
        EDIT,
        'edit left = "green robot"',
        "G001",
        "`edit` needs `->` before the words, not `=`",
        "=",
        'edit left -> "green robot"',
    ),
    Mistake(
        EDIT,
        'edit left -> "green robot";',
        "G003",
        "statements and settings need no `;`",
        ";",
        'edit left -> "green robot"',
    ),
    Mistake(
        EDIT,
        'edit left -> "green robot" { weight = 1.2 }',
        "G001",
        "`weight` is followed by its value, without `=`",
        "=",
        'edit left -> "green robot" { weight 1.2 }',
    ),
    Mistake(
        EDIT,
        'edit left -> "green robot" { weight 1.2, }',
        "G001",
        "nothing follows this comma",
        ",",
        'edit left -> "green robot" { weight 1.2 }',
    ),
    Mistake(
        EDIT,
        'edit left -> "green robot" { weight 1.2, repel 1 }',
        "G001",
        "settings are separated by spaces, not commas",
        ",",
        'edit left -> "green robot" { weight 1.2 repel 1 }',
    ),
    Mistake(
        EDIT,
        'edit left -> "green robot" weight 1.2',
        "G001",
        "settings are written in braces: `weight`",
        "weight 1.2",
        'edit left -> "green robot" { weight 1.2 }',
    ),
    Mistake(
        EDIT,
        'edit left -> "green robot" { weight 1.2 )',
        "G001",
        "`}` expected, not `)`",
        ")",
        'edit left -> "green robot" { weight 1.2 }',
    ),
    Mistake(
        REGION,
        "region left: box(0%, 0%, 40%, 100%)",
        "G003",
        "a region is defined with `=`, not `:`",
        ":",
        "region left = box(0%, 0%, 40%, 100%)",
    ),
    Mistake(
        REGION,
        "region left  = box（0%, 0%, 40%, 100%）",
        "G003",
        "`（`, U+FF08 (fullwidth left parenthesis), is not in the language",
        "（",
        "region left  = box(0%, 0%, 40%, 100%）",
    ),
    Mistake(
        REGION,
        "region left  = box(0% 0% 40% 100%)",
        "G205",
        "commas are missing between the sides of the box",
        "0% 40%",
        "region left  = box(0%, 0%, 40%, 100%)",
    ),
    Mistake(
        REGION,
        "region left  = box(0%, 0%, 40 %, 100%)",
        "G003",
        "`40 %` is not a number with its unit",
        "40 %",
        "region left  = box(0%, 0%, 40%, 100%)",
    ),
    Mistake(
        REGION,
        'region left  = masks("left" invert)',
        "G205",
        "a comma is missing before `invert`",
        "",
        'region left  = masks("left", invert)',
    ),
    Mistake(
        REGION,
        'region left  = masks("left", invert true)',
        "G202",
        "`invert` takes no value",
        "true",
        'region left  = masks("left", invert)',
    ),
    Mistake(
        REGION,
        'region left  = masks("left", scaled=False)',
        "G001",
        "`scaled` takes no value",
        ", scaled=False",
        'region left  = masks("left")',
    ),
    Mistake(
        REGION,
        'region left  = "masks/left"',
        "G001",
        '`"masks/left"` is not a region',
        '"masks/left"',
        'region left  = masks("masks/left")',
    ),
    Mistake(
        REGION,
        "region left  = all and not right",
        "G001",
        "`and not` is not an operator",
        "and not",
        "region left  = all - right",
    ),
    # frames and sizes
    *(
        Mistake(
            VIDEO,
            f'video "clip.mp4" {{ frames {written} }}',
            code,
            f"`{written}` is not a range: the first and the last, with `..` between",
            f"frames {written}",
            f'video "clip.mp4" {{ frames {right} }}',
        )
        for written, code, right in (
            ("0:30", "G003", "0..30"),
            ("0–30", "G003", "0..30"),
            ("0 to 30", "G202", "0..30"),
            ("[0, 30]", "G003", "0..30"),
            ("0...30", "G003", "0..30"),
            ("0..30..2", "G003", "0..30 step 2"),
            ("0:30:2", "G003", "0..30 step 2"),
        )
    ),
    *(
        Mistake(
            VIDEO,
            f'video "clip.mp4" {{ size {written} }}',
            code,
            f"`{written}` is not a size: width and height with `x` between",
            written,
            'video "clip.mp4" { size 512x320 }',
        )
        for written, code in (("512×320", "G003"), ("512 x 320", "G202"), ("512X320", "G003"))
    ),
    Mistake(
        VIDEO,
        'video "clip.mp4" { frames 0..2sec }',
        "G202",
        "`0..2sec` is a time, and frames are numbers",
        "0..2sec",
        'video "clip.mp4" { frames 0..48 }',
        "0..48",
    ),
    Mistake(
        REGION,
        "region left  = BOX(0%, 0%, 40%, 100%)",
        "G205",
        "`BOX` is not in lower case, as all words of the language are",
        "BOX",
        REGION,
    ),
    Mistake(
        REGION,
        "region left  = REST",
        "G101",
        "unknown region `REST`",
        "REST",
        "region left  = rest",
    ),
    Mistake(
        REGION,
        "region left  = right grow 0.02",
        "G001",
        "`0.02` is written as a share of the frame",
        "0.02",
        "region left  = right grow 2%",
    ),
    Mistake(
        REGION,
        "region left  = polygon(0.1 0.2, 0.4 0.2, 0.4 0.9)",
        "G202",
        "the points are written as shares of the frame: `0.1 0.2, 0.4 0.2, 0.4 0.9`",
        "0.1 0.2, 0.4 0.2, 0.4 0.9",
        "region left  = polygon(10% 20%, 40% 20%, 40% 90%)",
    ),
    Mistake(
        REGION,
        "region left  = box(-0.1, 0.2, 1.1, 0.9)",
        "G202",
        "the sides are written as shares of the frame: `-0.1, 0.2, 1.1, 0.9`",
        "-0.1, 0.2, 1.1, 0.9",
        "region left  = box(-10%, 20%, 110%, 90%)",
    ),
    Mistake(
        REGION,
        "region left  = box(0, 0, 1, 1)",
        "G202",
        "the sides are written as shares of the frame: `0, 0, 1, 1`",
        "0, 0, 1, 1",
        "region left  = box(0%, 0%, 100%, 100%)",
    ),
    Mistake(
        REGION,
        'region left  = masks("masks\\left\\", invert)',
        "G012",
        "a path has `/` between folders, not `\\`",
        '"masks\\left\\"',
        'region left  = masks("masks/left", invert)',
    ),
    Mistake(
        VIDEO,
        'video "\\\\nas\\new\\clip.mp4"',
        "G012",
        "a path has `/` between folders, not `\\`",
        '"\\\\nas\\new\\clip.mp4"',
        'video "//nas/new/clip.mp4"',
        '"//nas/new/clip.mp4"',
    ),
    Mistake(
        MORE,
        "attention { until 1.0 }",
        "G202",
        "invalid value `1.0` for `until`: a percentage from 0% to 100%",
        "1.0",
        "attention { until 100% }",
    ),
    Mistake(
        MORE,
        "attention { until 1 }",
        "G202",
        "invalid value `1` for `until`: a percentage from 0% to 100%",
        "1",
        "attention { until 100% }",
    ),
    Mistake(
        VIDEO,
        'video "clip.mp4" { frames 7..0 }',
        "G202",
        "invalid value `7..0` for `frames`: the last frame (0) comes before the first (7)",
        "7..0",
        'video "clip.mp4" { frames 0..7 }',
        "0..7",
    ),
]


def text_of(mistake: Mistake, line: str) -> str:
    if mistake.line:
        return GOOD.replace(mistake.line, line)
    return f"{GOOD}{line}\n"


def findings(text: str) -> list[Diagnostic]:
    return [finding for finding in parse_all(text).diagnostics if finding.code != "G103"]


def written_at(text: str, span: Span) -> str:
    assert span.line == span.end_line
    return text.split("\n")[span.line - 1][span.column - 1 : span.end_column - 1]


@pytest.mark.parametrize("mistake", PLANTED + KINDS, ids=lambda mistake: mistake.wrong)
def test_the_sentence_the_place_and_the_cure(mistake: Mistake) -> None:
    text = text_of(mistake, mistake.wrong)
    finding = findings(text)[0]
    assert (finding.code, finding.message) == (mistake.code, mistake.sentence)
    assert finding.span is not None
    assert written_at(text, finding.span) == mistake.place
    if mistake.paste:
        assert mistake.paste.strip('"') in finding.cure
        assert not finding.fixes
        finding = Diagnostic("G001", "", fixes=(Fix(finding.span, mistake.paste),))
    corrected, applied = apply_fixes(text, [finding])
    assert applied
    assert corrected == text_of(mistake, mistake.right)


@pytest.mark.parametrize("mistake", PLANTED + KINDS, ids=lambda mistake: mistake.wrong)
def test_one_fault_is_one_finding_and_its_cure_leaves_none(mistake: Mistake) -> None:
    found = findings(text_of(mistake, mistake.wrong))
    assert len(found) == 1 + ("（" in mistake.wrong)
    fixed = fix_text(text_of(mistake, mistake.wrong), lambda text: parse_all(text).diagnostics)
    if not mistake.paste:
        assert [finding for finding in fixed.left if finding.code != "G103"] == []
    else:
        assert findings(text_of(mistake, mistake.right)) == []


def test_there_are_rows_for_all_that_the_design_names() -> None:
    assert len(PLANTED) >= 21


def test_brackets_say_where_they_were_opened() -> None:
    text = GOOD.replace(REGION, "region left = box(0%, 0%,\n  40%, 100%")
    (finding,) = findings(text)
    (opened,) = finding.related
    assert (opened.message, opened.span.line, opened.span.column) == ("opened here", 4, 18)


def test_json_in_a_grain_file() -> None:
    (finding,) = findings('{\n  "video": {"path": "clip.mp4"},\n  "target": "a bear"\n}')
    assert (finding.code, finding.message) == ("G013", "the file contains JSON")
    assert "`edit.json`" in finding.cure


@pytest.mark.parametrize(
    "text",
    [
        "video:\n  path: clip.mp4\ntarget: a bear\n",
        "grain: 1\nedits:\n  - left: green robot\n",
        "edits:\n- region: left\n  prompt: robot\n",
    ],
)
def test_yaml_in_a_grain_file(text: str) -> None:
    (finding,) = findings(text)
    assert (finding.code, finding.message) == ("G013", "the file contains YAML")


def test_flat_yaml_becomes_a_spec() -> None:
    text = (
        "grain: 1\nvideo: 'clip.mp4'\ntarget: a bear on grass\n"
        "region left: masks(left)\n- edit left: bear\nsteps: 20\n"
    )
    fixed = fix_text(text, lambda text: parse_all(text).diagnostics)
    assert fixed.left == ()
    assert fixed.text == (
        'grain 1\nvideo "clip.mp4"\ntarget "a bear on grass"\n'
        'region left = masks("left")\nedit left -> "bear"\nsampler { steps 20 }\n'
    )


def test_unknown_statements_hide_nothing() -> None:
    text = GOOD + 'fps 24\nvidoe "c.mp4"\n  { step 2 }\nlora \'x\'\nedit rigt -> "hat"\n'
    found = [(finding.code, finding.span.line if finding.span else 0) for finding in findings(text)]
    assert found == [("G001", 8), ("G001", 9), ("G001", 11), ("G101", 12)]


def test_home_folders_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    spec = parse_all(
        GOOD.replace("clip.mp4", "~/clip.mp4")
        .replace(REGION, 'region left  = masks("~/masks/left")')
        .replace("grain 1\n", 'grain 1\nmodel "~/models/sd"\ncontrol depth { clip "~/depth" }\n')
    ).spec
    assert spec is not None
    assert spec.video.path == "/home/me/clip.mp4"
    assert spec.region("left").expression.path == "/home/me/masks/left"  # type: ignore[union-attr]
    assert (spec.model, spec.controls[0].clip) == ("/home/me/models/sd", "/home/me/depth")


@pytest.mark.parametrize(
    "text",
    ["\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD.replace("left ->", "left\t->")],
    ids=["byte order mark", "line ends of Windows", "tab"],
)
def test_what_editors_leave_in_a_file_is_no_mistake(text: str) -> None:
    assert findings(text) == []


def test_fixes_keep_line_ends() -> None:
    text = GOOD.replace("edit left ->", "EDIT left =>").replace("\n", "\r\n")
    fixed = fix_text(text, lambda text: parse_all(text).diagnostics)
    assert fixed.text == GOOD.replace("\n", "\r\n")
    assert [finding.message for finding in fixed.corrected] == [
        "`EDIT` is not in lower case, as all words of the language are",
        "`=>` is not an arrow",
    ]


@pytest.mark.parametrize(
    ("line", "message", "cure"),
    [
        ("resolution 512x512", "`resolution` is a setting of `video`", 'video "…" { size … }'),
        ("size 96x96", "`size` is a setting of `video`", 'video "…" { size … }'),
        ("frames 0..3", "`frames` is a setting of `video`, `attention` and `context`", "video"),
        ("weight 120%", "`weight` is a setting of `edit`", 'edit … -> "…" { weight … }'),
        ("until 0.3", "`until` is a setting of `attention` and `control`", "attention { until … }"),
        ('edit left, right -> "hat"', "unexpected `,` after `left`", "both = left | right"),
        ('edit [left, right] -> "hat"', "unexpected `[` after `edit`", "both = left | right"),
    ],
)
def test_what_belongs_elsewhere_is_told_its_place(line: str, message: str, cure: str) -> None:
    (finding,) = findings(f"{GOOD}{line}\n")
    assert finding.message.startswith(message)
    assert cure in finding.cure
    assert not finding.fixes


def test_a_region_is_not_suggested_for_itself() -> None:
    finding = findings(GOOD + "region trees = tree\n")[0]
    assert finding.message == "unknown region `tree`"
    assert finding.cure == "There are `left`, `right`."


@pytest.mark.parametrize(
    "text", ['# mine\n\n{"grain": 1}\n', '---\n{"grain": 1}\n', "# a\n---\nvideo:\n  path: c\n"]
)
def test_comments_before_other_formats(text: str) -> None:
    (finding,) = findings(text)
    assert finding.code == "G013"
    assert fix_text(text, lambda text: parse_all(text).diagnostics).text == text


def test_settings_as_keys_of_json() -> None:
    text = GOOD + 'attention { "cross": 1, "self": 0.3 }\n'
    fixed = fix_text(text, lambda text: parse_all(text).diagnostics)
    assert fixed.text == GOOD + "attention { cross 1 self 0.3 }\n"
    assert [finding.code for finding in fixed.left if finding.is_error] == []
