"""Text tokens for the hover: asked of another process, never of a tokenizer in the server's own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grainspec.analysis.document import Document
from grainspec.analysis.hover import hover
from grainspec.analysis.pieces import Pieces, pieces_text

pytest.importorskip("pygls")

from grainspec.language_server.tokenizers import NO_RUNTIME, Prompt, Tokenizers

ECHO = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["model"] == "slow":
        import time; time.sleep(60)
    if asked["model"] == "ends":
        sys.exit(1)
    if asked["model"] == "none":
        print(json.dumps({"why": "it is not here"}), flush=True)
        continue
    words, at = [], 0
    for word in asked["text"].split(" "):
        words.append((at, at + len(word))); at += len(word) + 1
    print(json.dumps({"name": asked["model"], "places": [(0, 0), *words]}), flush=True)
"""


@contextmanager
def tokenizers(source: str = ECHO) -> Iterator[Tokenizers]:
    made = Tokenizers((sys.executable, "-c", source))
    yield made
    made.end()


def prompt(text: str, model: str = "words") -> Prompt:
    return Prompt(model, "", ".", text)


def test_answers_are_kept_and_not_waited_for() -> None:
    with tokenizers() as asked:
        before = time.perf_counter()
        assert asked.pieces(prompt("a bear")) is None  # the program starts
        assert time.perf_counter() - before < 0.1
        wanted = Pieces("words", ((0, 0), (0, 1), (2, 6)))
        assert asked.pieces(prompt("a bear"), 20) == wanted
        asked._program = ("/no/such/program",)
        assert asked.pieces(prompt("a bear")) == wanted
        assert asked.pieces(prompt("b"), 20) == Pieces("words", ((0, 0), (0, 1)))
        ended = asked.pieces(prompt("b", "ends"), 20)
        assert ended is not None
        assert "has ended" in ended.why
        asked._program = (sys.executable, "-c", ECHO)
        assert asked.pieces(prompt("c"), 20) == Pieces("words", ((0, 0), (0, 1)))  # a new process
        assert asked.pieces(prompt("b", "slow"), 0.01) is None


def test_a_reason_is_asked_again() -> None:
    with tokenizers() as asked:
        for _ in range(2):
            assert asked.pieces(prompt("a", "none"), 20) == Pieces("none", why="it is not here")
        assert not asked._known


@pytest.mark.parametrize("source", ["raise SystemExit(1)", "print('no JSON')", "print('[1]')"])
def test_a_machine_without_the_runtime(source: str) -> None:
    with tokenizers(source) as asked:
        assert asked.pieces(prompt("a bear"), 20) == Pieces("", why=NO_RUNTIME)
        assert asked.pieces(prompt("another")) == Pieces("", why=NO_RUNTIME)


def test_the_server_loads_no_tokenizer() -> None:
    source = "import sys, grainspec.language_server.server; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert not {"transformers", "tokenizers", "torch", "grainspec_runtime"} & {*said.stdout.split()}


# --- what the hover says -------------------------------------------------------------------------

TEXT = 'grain 1 video "c.mp4" target "a \\"big\\" bear and a bear" region a = all edit a -> "bear"'
PLACES = ((0, 0), (0, 1), (2, 7), (8, 10), (10, 12), (13, 16), (17, 18), (19, 23))


def test_all_tokens_of_a_phrase_wherever_it_is_bound() -> None:
    document = Document(TEXT, Path("edit.grain"))
    prompts = []

    def ask(text: str) -> Pieces:
        prompts.append(text)
        return Pieces("words", PLACES)

    found = hover(document, TEXT.rindex("bear"), (), None, ask)
    assert found is not None
    expected = "3 text tokens of `words`: `be` `ar` `bear` · positions 3, 4 and 7 of 8"
    assert found.text.endswith(expected)
    in_prompt = hover(document, TEXT.index("bear"), (), None, ask)
    assert in_prompt is not None
    assert "bound to `a`\n\n2 text tokens of `words`: `be` `ar`" in in_prompt.text
    assert set(prompts) == {'a "big" bear and a bear'}


def test_tokens_that_are_not_known() -> None:
    assert "point at it again" in pieces_text("a", [(0, 1)], None)
    assert pieces_text("a", [(0, 1)], Pieces("", why=NO_RUNTIME)).count("not known: the runtime")
    assert "the prompt is too long" in pieces_text("a b", [(2, 3)], Pieces("m", ((0, 1),)))
    assert pieces_text("a`b", [(0, 3)], Pieces("m", ((0, 3),))).startswith(
        "1 text token of `m`: `` a`b `` · position 0 of 1"
    )
