"""The program that the language server asks for text tokens."""

from __future__ import annotations

import json
from pathlib import Path

from grainspec_runtime.backbones.registry import describe
from grainspec_runtime.tokenizing import answers


def test_tokens_are_those_of_the_plan(tmp_path: Path) -> None:
    text = "a green robot and a yellow bear on grass"
    asked = {"motion_adapter": "", "base": str(tmp_path), "text": text}
    lines = [json.dumps({**asked, "model": name}) for name in ("demo", "./none", "not/there")]
    tokens, missing, remote = map(json.loads, answers(lines))
    places = describe("demo", tmp_path).tokenize(text)
    assert tokens == {"name": "demo", "places": [list(place) for place in places]}
    assert "does not exist" in missing["why"]
    assert remote == {"why": "not/there is not on this machine"}
