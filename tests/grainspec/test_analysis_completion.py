"""Completion where people stop typing: what is proposed, and in what order."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import EXAMPLES

from grainspec.analysis.completion import completions
from grainspec.analysis.document import Document
from grainspec.analysis.hover import hover

HEAD = """\
grain 1
video "clips/two_men.mp4"
target "a green robot and a yellow bear on grass"
region left = masks("masks/two_men/left")
region right = masks("masks/two_men/right")
"""
PHRASES = ["green robot", "yellow bear", "grass"]
QUOTED = [f'"{phrase}"' for phrase in PHRASES]

FIRST = {
    "edit |": ["class", "instance", "part", "left", "right"],
    "edit part left |": ["of", "->"],
    "add hat |": ["of"],
    "add hat of left |": ["->"],
    "edit left -> |": QUOTED,
    'edit left -> "|': PHRASES,
    'edit left -> "bear" |': ["{ }"],
    'edit left -> "bear" { |': ["weight", "repel"],
    'edit left -> "bear" { weight |': ["1"],
    "keep left, |": ["right"],
    "region a |": ["="],
    "region a = |": ["left", "right", "masks", "box"],
    "region a = left |": ["grow", "shrink", "during", "smooth"],
    "region a = masks(|": ['"clips/"', '"masks/"'],
    'region a = masks("|': ["clips/", "masks/"],
    "video |": ['"clips/"'],
    "sampler |": ["ddim"],
    "sampler ddim |": ["{ }"],
    "sampler ddim { steps |": ["50"],
    "attention { phrases |": ["isolated", "in_context"],
    "method |": ["fatezero", "video_p2p"],
    "method tokenflow { falloff |": ["sigmoid", "linear"],
    "keep left\n|": ["model"],
    "variant v { keep |": ["left", "right"],
    "variant v { without |": ["left", "right"],
    "variant v {\n  edit |": ["class", "instance", "part", "left", "right"],
    'variant v {\n  target "a cat"\n  edit left -> |': ['"cat"'],
    'variant v {\n  target "a cat"\n  edit left -> |\n}': ['"cat"'],
    'variant v {\n  edit left -> "|': PHRASES,
    "variant v {\n  |": ["target", "negative", "edit"],
    "variant v { keep left }\n|": ["model"],
}


def proposed(text: str) -> list[str]:
    text = HEAD + text
    document = Document(text.replace("|", ""), EXAMPLES / "new.grain")
    return [item.label for item in completions(document, text.index("|"))]


@pytest.mark.parametrize("text", FIRST)
def test_what_is_proposed_first(text: str) -> None:
    labels = proposed(text)
    assert labels[: len(FIRST[text])] == FIRST[text]


def test_statements_of_a_variant_only_inside_it() -> None:
    for ends in ("", "\n}", "\n}\nvariant w {"):
        assert {"target", "without"} < {*proposed(f"variant v {{\n  |{ends}")}
        assert not {"video", "region", "variant"} & {*proposed(f"variant v {{\n  |{ends}")}
    assert "without" not in proposed("variant v { keep left }\n|")


def test_what_follows_a_region_on_a_line_below_comes_last() -> None:
    labels = proposed("region a = left\n|")
    assert labels.index("edit") < labels.index("grow")


def test_the_cursor_stays_in_the_quotes_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a $b}").mkdir()
    (tmp_path / "c.mp4").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"")
    document = Document("video ", tmp_path / "new.grain")
    folder, file = completions(document, 6)
    assert (folder.insert, folder.snippet) == (r'"a \$b\}/$0"', True)
    assert (file.label, file.insert, file.snippet) == ('"c.mp4"', '"c.mp4"', False)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("method dfvedit { |", ["regions", "reinforce", "word_mask"]),
        ("method dfvedit { word_mask 30%  |", ["regions", "reinforce"]),
        ("variant v { method tokenflow { | } }", ["regions", "interval", "falloff"]),
    ],
)
def test_a_methods_block_proposes_the_settings_that_it_has(text: str, settings: list[str]) -> None:
    assert proposed(text) == settings


def test_a_block_without_a_method_proposes_all_settings() -> None:
    assert {"regions", "motion", "word_mask"} < set(proposed("method { |"))


def test_a_method_says_which_settings_it_has() -> None:
    end = "Settings: `regions`, `reinforce`, `word_mask`"
    document = Document(HEAD + "method ", EXAMPLES / "new.grain")
    said = {item.label: item.documentation for item in completions(document, len(document.text))}
    assert said["dfvedit"].endswith(end)
    document = Document(HEAD + "method dfvedit ", EXAMPLES / "new.grain")
    braces = completions(document, len(document.text))[0]
    assert (braces.label, braces.documentation) == ("{ }", "regions, reinforce, word_mask")
    shown = hover(document, document.text.index("dfvedit"))
    assert shown is not None
    assert shown.text.endswith(end)
