"""The Tree-sitter grammar reads what the parser reads: every example, and any spec."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import EXAMPLES, ROOT
from hypothesis import given, settings

from grainspec import EditSpec, dumps, parse_all
from grainspec.model.names import RESERVED
from grainspec.model.statements import STATEMENTS
from grainspec.testing import grain_texts, specs

FOLDER = ROOT / "grammar" / "editors" / "tree-sitter-grain"
HIGHLIGHTS = (FOLDER / "queries" / "highlights.scm").read_text(encoding="utf-8")
GRAMMAR = json.loads((FOLDER / "src" / "grammar.json").read_text(encoding="utf-8"))
SPECS = sorted(EXAMPLES.glob("*.grain"))
PAGES = ["README.md", "cookbook.md"]


def words(rule: Any) -> Iterator[str]:
    """The words that are written as they are in a rule."""
    if isinstance(rule, dict):
        if rule.get("type") == "STRING":
            yield rule["value"]
        for inner in rule.values():
            yield from words(inner)
    elif isinstance(rule, list):
        for inner in rule:
            yield from words(inner)


def test_it_has_the_words_of_the_language() -> None:
    known = {word for word in words(GRAMMAR["rules"]) if word.isidentifier()}
    assert known == {*STATEMENTS, *RESERVED}
    coloured = set(re.findall(r'"(\w+)"', HIGHLIGHTS))
    assert coloured == known - {"all", "rest"}


def test_it_was_generated_from_its_source() -> None:
    source = (FOLDER / "grammar.js").read_text(encoding="utf-8")
    rules = re.findall(r"^    (\w+): \(", source, re.MULTILINE)
    assert rules == list(GRAMMAR["rules"])
    for word in {*STATEMENTS, *RESERVED}:
        assert f'"{word}"' in source


# --- the parser itself ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Any:
    tree_sitter = pytest.importorskip("tree_sitter")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("tree_sitter") / "grain.so"
    source = FOLDER / "src"
    command = [compiler, "-shared", "-fPIC", "-I", source, source / "parser.c", "-o", library]
    subprocess.run(command, check=True)
    made = ctypes.CDLL(str(library)).tree_sitter_grain
    made.restype = ctypes.c_void_p
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype = ctypes.py_object
    capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return tree_sitter.Language(capsule(made(), b"tree_sitter.Language", None))


@pytest.fixture(scope="module")
def read(language: Any) -> Any:
    import tree_sitter

    parser = tree_sitter.Parser(language)
    return lambda text: parser.parse(text.encode()).root_node


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_example(read: Any, path: Path) -> None:
    root = read(path.read_text(encoding="utf-8"))
    assert not root.has_error, str(root)
    assert {node.type for node in root.children} <= {*STATEMENTS, "prompt", "comment"}


@pytest.mark.parametrize("page", PAGES)
def test_every_spec_of_the_reference(read: Any, page: str) -> None:
    text = (ROOT / "grammar" / page).read_text(encoding="utf-8")
    found = re.findall(r"```grain\n(.*?)```", text, re.DOTALL)
    assert len(found) > 3
    for block in found:
        sound = all(finding.code[:2] != "G0" for finding in parse_all(block).diagnostics)
        assert not (sound and read(block).has_error), block


def test_any_spec(read: Any) -> None:
    @given(spec=specs(), text=grain_texts())
    @settings(max_examples=40, deadline=None)
    def reads(spec: EditSpec, text: str) -> None:
        for written in (dumps(spec), text):
            sound = all(finding.code[:2] != "G0" for finding in parse_all(written).diagnostics)
            assert not (sound and read(written).has_error), written

    reads()


def test_what_it_finds(read: Any) -> None:
    text = """\
region a = ~box(0%, -5px, .5, 9%) @ 0, box(1%, 1%, 9%, 9%) @ 8 grow 2% | b - (c & rest) smooth 3
edit part a of b -> "a \\"red\\" # hat" { weight 1.2 levels 0..3 }
variant v { target "b" keep a, b } # end
"""
    root = read(text)
    assert not root.has_error
    assert [node.type for node in root.children] == ["region", "edit", "variant", "comment"]
    value = root.children[0].child_by_field_name("value")
    assert value.type == "union"
    assert [child.type for child in value.named_children] == ["complement", "difference"]
    grown = value.named_children[0].named_children[0]
    assert (grown.type, grown.named_children[0].type) == ("grown", "keyframes")
    phrase = root.children[1].child_by_field_name("phrase")
    assert [node.text for node in phrase.named_children] == [b'\\"', b'\\"']


def test_a_mistake_hides_no_other_statement(read: Any) -> None:
    root = read('keep a\nedit left -> ->\nregion b = all\nsampler ddim { steps 30 }\nedit a -> "')
    assert root.has_error
    assert {"keep", "region", "sampler"} <= {node.type for node in root.children}


def test_the_queries_of_zed(language: Any, read: Any) -> None:
    import tree_sitter

    root = read((EXAMPLES / "variants.grain").read_text(encoding="utf-8"))
    found = {}
    for path in (ROOT / "grammar/editors/zed/languages/grain").glob("*.scm"):
        query = tree_sitter.Query(language, path.read_text(encoding="utf-8"))
        found[path.stem] = tree_sitter.QueryCursor(query).captures(root)
    assert found.keys() == {"highlights", "brackets", "outline", "indents"}
    assert {"left", "swapped"} <= {node.text.decode() for node in found["outline"]["name"]}
    assert all(found.values())


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_colours(language: Any, read: Any, path: Path) -> None:
    import tree_sitter

    text = path.read_text(encoding="utf-8")
    query = tree_sitter.Query(language, HIGHLIGHTS)
    found = tree_sitter.QueryCursor(query).captures(read(text))
    assert found.keys() >= {"keyword", "string", "variable", "number", "operator"}
    keywords = {node.text.decode() for node in found["keyword"]}
    assert keywords <= {*STATEMENTS, *RESERVED}
    starts = re.findall(r"(?m)^ *(\w+)", re.sub("#.*", "", text))
    assert {word for word in starts if word in STATEMENTS} <= keywords
