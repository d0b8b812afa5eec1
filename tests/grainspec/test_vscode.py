"""The extension for VS Code: its manifest and what it says about the language are current.

Its own tests, which need Node, are in ``grammar/editors/vscode/test``; ``.ci/editors`` runs them.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from clips import ROOT
from pygments.token import Token

import grainspec
from grainspec.analysis.tokens import KINDS
from grainspec.model.declaration import fields_of
from grainspec.model.settings.control import Control
from grainspec.model.settings.sampler import Sampler
from grainspec.text.highlight import GrainLexer

HOME = ROOT / "grammar" / "editors" / "vscode"
PLACEHOLDER = re.compile(r"\$\{\d+(?::([^}]*)|\|([^|]*)\|)\}|\$\d+")


def read_json(name: str) -> Any:
    return json.loads((HOME / name).read_text(encoding="utf-8"))


def source() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in sorted((HOME / "src").glob("*.ts")))


MANIFEST = read_json("package.json")
SNIPPETS = read_json("snippets/grain.json")
LANGUAGE = read_json("language-configuration.json")


# --- the manifest --------------------------------------------------------------------------------


def test_the_version_is_grainspecs() -> None:
    assert MANIFEST["version"] == grainspec.__version__
    assert f"## {MANIFEST['version']}" in (HOME / "CHANGELOG.md").read_text(encoding="utf-8")


def test_commands_are_declared_and_registered() -> None:
    declared = {command["command"] for command in MANIFEST["contributes"]["commands"]}
    assert declared == set(re.findall(r'registerCommand\("([\w.]+)"', source()))
    used = [
        entry["command"]
        for menu in MANIFEST["contributes"]["menus"].values()
        for entry in (*menu, *MANIFEST["contributes"]["keybindings"])
    ]
    assert used
    assert set(used) <= declared


def test_settings_are_declared_and_read() -> None:
    declared = set(MANIFEST["contributes"]["configuration"]["properties"])
    read = set(re.findall(r'\.get\("([\w.]+)"', source()))
    assert {f"grain.{name}" for name in read} | {"grain.trace.server"} == declared


def test_a_workspace_that_is_not_trusted_names_no_program() -> None:
    trust = MANIFEST["capabilities"]["untrustedWorkspaces"]
    assert trust["supported"] == "limited"
    assert trust["restrictedConfigurations"] == ["grain.path"]


def test_versions_of_dependencies_are_exact_and_locked() -> None:
    lock = read_json("package-lock.json")
    assert lock["version"] == MANIFEST["version"]
    assert "dependencies" not in MANIFEST  # all is bundled
    for name, version in MANIFEST["devDependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    packages = [entry for name, entry in lock["packages"].items() if name]
    assert all(entry["integrity"].startswith("sha512-") for entry in packages)
    assert not any("resolved" in entry for entry in packages)


def test_files_that_the_manifest_names_are_there_or_built() -> None:
    contributes = MANIFEST["contributes"]
    named = [
        MANIFEST["icon"],
        MANIFEST["main"],
        *(language["configuration"] for language in contributes["languages"]),
        *(grammar["path"] for grammar in contributes["grammars"]),
        *(snippets["path"] for snippets in contributes["snippets"]),
        *(schema["url"] for schema in contributes["jsonValidation"]),
    ]
    build = (HOME / "build.mjs").read_text(encoding="utf-8")
    for path in named:
        name = path.removeprefix("./")
        assert (f'"{name}"' in build) if name.startswith("dist/") else (HOME / name).is_file(), path


def test_the_grammar_has_one_source() -> None:
    copied = re.findall(r"\$\{grammar\}/([\w./]+)`\]", (HOME / "build.mjs").read_text("utf-8"))
    assert copied == ["grain.tmLanguage.json", "grain.schema.json", "../LICENSE"]
    assert all((ROOT / "grammar" / name).is_file() for name in copied)
    grammar = json.loads((ROOT / "grammar" / "grain.tmLanguage.json").read_text("utf-8"))
    assert MANIFEST["contributes"]["grammars"][0]["scopeName"] == grammar["scopeName"]
    assert "LICENSE" in (HOME / ".gitignore").read_text("utf-8").split()


def test_the_servers_colours_are_the_grammars() -> None:
    (colours,) = MANIFEST["contributes"]["semanticTokenScopes"]
    assert colours["language"] == "grain"
    assert list(colours["scopes"]) == sorted(KINDS)
    grammar = (ROOT / "grammar" / "grain.tmLanguage.json").read_text("utf-8")
    for (scope,) in colours["scopes"].values():
        assert f'"{scope}"' in grammar


def test_what_is_built_stays_out_of_the_wheel() -> None:
    import tomllib

    data = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    patterns = data["package-data"]["grainspec.grammar"]
    assert not [pattern for pattern in patterns if "/" in pattern or "**" in pattern]


# --- snippets ------------------------------------------------------------------------------------

CONTEXT = {
    "video": 'video "clip.mp4" { size 512x512 }',
    "source": 'source "two men with shirts are jogging in a forest"',
    "target": 'target "Spiderman in a blue shirt and a polar bear with sunglasses, two astronauts"',
    "left": 'region left = masks("left")',
    "right": 'region right = masks("right")',
    "men": "region men = left | right",
    "shirt": "region shirt = box(10%, 10%, 20%, 20%) & left",
    "eyes": "region eyes = box(60%, 10%, 70%, 20%)",
    "ground": 'region ground = masks("ground")',
    "edit": 'edit left -> "Spiderman"',
}


def bodies(snippet: dict[str, Any]) -> list[str]:
    """The text that a snippet gives when nothing is typed, for each of its choices."""
    body = snippet["body"]
    text = body if isinstance(body, str) else "\n".join(body)
    choices = [
        match[2].split(",") if match[2] else [match[1] or ""]
        for match in PLACEHOLDER.finditer(text)
    ]
    pieces = PLACEHOLDER.sub("\0", text).split("\0")
    return [
        "".join(map("".join, zip(pieces, (*chosen, ""), strict=True)))
        for chosen in itertools.product(*choices)
    ]


def spec_with(statement: str) -> str:
    """A spec that has the statement, and what it refers to."""
    if statement.startswith("grain"):
        return statement
    first, name = (re.match(r"(\w+)\s*(\w*)", statement) or pytest.fail(statement)).groups()
    lines = [
        line
        for key, line in CONTEXT.items()
        if key != first and not (first == "region" and key == name)
    ]
    return "\n".join(["grain 1", *lines, statement]) + "\n"


@pytest.mark.parametrize("name", SNIPPETS)
def test_snippets_are_grain(name: str) -> None:
    for body in bodies(SNIPPETS[name]):
        text = spec_with(body)
        spec = grainspec.parse(text)
        assert grainspec.parse(grainspec.dumps(spec)) == spec


def test_snippets_offer_all_choices() -> None:
    chosen = {
        name: PLACEHOLDER.search(SNIPPETS[name]["body"])[2].split(",")  # type: ignore[index]
        for name in ("Sampler", "Control")
    }
    assert chosen["Sampler"] == list(fields_of(Sampler)["method"].choices)
    assert chosen["Control"] == list(fields_of(Control)["kind"].choices)


# --- the language's configuration ----------------------------------------------------------------


def test_comments_and_brackets_are_the_languages() -> None:
    comment = LANGUAGE["comments"]["lineComment"]
    assert next(kind for kind, _ in GrainLexer().get_tokens(f"{comment} word")) in Token.Comment
    for opening, closing in LANGUAGE["brackets"]:
        kinds = {word: kind for kind, word in GrainLexer().get_tokens(f"box {opening}{closing}")}
        assert kinds[opening] in Token.Punctuation


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.grain")), ids=lambda p: p.stem)
def test_a_word_of_the_editor_is_a_word_of_the_language(path: Path) -> None:
    # Python's `re` has no \p{…}; for these texts \w says the same.
    pattern = LANGUAGE["wordPattern"]["pattern"]
    pattern = pattern.replace(r"[\p{L}_][\p{L}\p{N}\p{M}_]*", r"[^\W\d]\w*")
    for kind, word in GrainLexer().get_tokens(path.read_text("utf-8")):
        if kind in Token.Name or kind in Token.Keyword:
            assert re.fullmatch(pattern, word), word


def test_blocks_are_indented() -> None:
    rules = LANGUAGE["indentationRules"]
    increase = re.compile(rules["increaseIndentPattern"]["pattern"])
    decrease = re.compile(rules["decreaseIndentPattern"]["pattern"])
    for line in ("variant left {", "sampler ddim {  # steps", 'video "a{b" {', "region a = box("):
        assert increase.search(line), line
    for line in (
        "# variant {",
        'target "a {"',
        "sampler ddim { steps 30 }",
        "keep left",
        'x "{" # {',
    ):
        assert not increase.search(line), line
    assert decrease.search("  }")
    assert not decrease.search("sampler { }")
