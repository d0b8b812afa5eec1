"""What the page about editors says is what editors take.

With `GRAINSPEC_EDITORS=1`, Neovim and Emacs are started with the page's own lines where they are
installed; `.ci/editors` does so.
"""

from __future__ import annotations

import json
import os
import plistlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from clips import EXAMPLES, ROOT

PAGE = (ROOT / "grammar" / "editors.md").read_text(encoding="utf-8")
SERVER = ["grain", "language-server"]
WANTED = "GRAINSPEC_EDITORS" in os.environ
MISTAKE = ("keep ground", "keep grund")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of an example with a mistake; `grain` is on the PATH."""
    pytest.importorskip("pygls")
    program = tmp_path / "bin" / "grain"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m grainspec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, map(str, sys.path))))
    for name in ("clips", "masks"):
        (tmp_path / name).symlink_to(EXAMPLES / name)
    path = tmp_path / "edit.grain"
    path.write_text((EXAMPLES / "instance.grain").read_text().replace(*MISTAKE))
    return path


def place_of_the_mistake(path: Path) -> tuple[int, int]:
    lines = path.read_text().splitlines()
    return lines.index(MISTAKE[1]), MISTAKE[1].index("grund")


# --- Neovim --------------------------------------------------------------------------------------

_IN_NEOVIM = """
local answer = {}
local function ask(method, more)
  local params = vim.tbl_extend("force", vim.lsp.util.make_position_params(0, "utf-16"), more or {})
  local replies = vim.lsp.buf_request_sync(0, method, params, 10000) or {}
  for _, reply in pairs(replies) do
    return reply.result
  end
end
vim.wait(20000, function() return #vim.diagnostic.get(0) > 0 end, 50)
for _, found in ipairs(vim.diagnostic.get(0)) do
  table.insert(answer, { found.lnum, found.col, found.code })
end
local row = vim.fn.search("edit instance left") - 1
local function colours() return vim.lsp.semantic_tokens.get_at_pos(0, row, 0) or {} end
vim.wait(10000, function() return #colours() > 0 end, 50)
local colour = #colours() > 0 and colours()[1].type
vim.cmd.normal("ww")
local items = ask("textDocument/completion") or {}
local labels = vim.tbl_map(function(item) return item.label end, items.items or items)
local comment = vim.bo.commentstring
local started = {}
vim.fn.jobstart = function(words) started = words end
vim.lsp.commands["grain.run"]({ arguments = { { uri = vim.uri_from_bufnr(0), variant = "a b" } } })
io.stdout:write(vim.json.encode({ found = answer, labels = labels, comment = comment, colour = colour, started = started }))
vim.cmd("qall!")
"""


def neovim() -> str | None:
    found = shutil.which("nvim")
    if not WANTED or not found:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.match(r"NVIM v(\d+)\.(\d+)", said)
    return found if version and (int(version[1]), int(version[2])) >= (0, 11) else None


@pytest.mark.skipif(not neovim(), reason="GRAINSPEC_EDITORS, and Neovim 0.11 or later")
def test_neovim(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "init.lua").write_text("\n".join(blocks("lua")))
    (tmp_path / "ask.lua").write_text(_IN_NEOVIM)
    command = [
        neovim() or "",
        "--clean",
        "--headless",
        "-u",
        "init.lua",
        spec.name,
        "-S",
        "ask.lua",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    answer = json.loads(done.stdout or pytest.fail(done.stderr))
    assert [*place_of_the_mistake(spec), "G101"] in answer["found"]
    assert {"left", "right", "trees"} <= set(answer["labels"])
    assert answer["colour"] == "keyword"
    assert answer["comment"] == "# %s"
    assert answer["started"] == ["grain", "run", str(spec), "--variant=a b"]


# --- Emacs ---------------------------------------------------------------------------------------

_IN_EMACS = """
(require 'package)
(package-initialize)
(require 'eglot)
(find-file "edit.grain")
(call-interactively #'eglot) ; eglot-ensure, the page's, waits for a first key
(let ((left 400))
  (while (and (> (setq left (1- left)) 0) (not (flymake-diagnostics)))
    (accept-process-output nil 0.05)
    (flymake-start)))
(dolist (found (flymake-diagnostics))
  (message "found %s %s" (1- (line-number-at-pos (flymake-diagnostic-beg found)))
           (flymake-diagnostic-text found)))
(message "mode %s comment %s" major-mode comment-start)
"""


def eglot() -> str | None:
    found = shutil.which("emacs")
    if not WANTED or not found:
        return None
    has = [found, "--batch", "--eval", "(progn (package-initialize) (require 'eglot))"]
    return found if subprocess.run(has, capture_output=True).returncode == 0 else None


@pytest.mark.skipif(not eglot(), reason="GRAINSPEC_EDITORS, and Emacs with Eglot")
def test_emacs(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "init.el").write_text(blocks("elisp")[0])
    (tmp_path / "ask.el").write_text(_IN_EMACS)
    command = [eglot() or "", "--batch", "-l", "init.el", "-l", "ask.el"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    line, _ = place_of_the_mistake(spec)
    assert re.search(rf"^found {line} .*grund", done.stderr, re.MULTILINE), done.stderr
    assert "mode grain-mode comment # " in done.stderr


# --- those that are not started ------------------------------------------------------------------


def test_helix() -> None:
    (text,) = blocks("toml")
    settings = tomllib.loads(text)
    (language,) = settings["language"]
    server = settings["language-server"]["grain"]
    assert [server["command"], *server["args"]] == SERVER
    assert language["language-servers"] == ["grain"]
    assert language["file-types"] == ["grain"]


def test_sublime_text() -> None:
    text, _ = blocks("json")
    (client,) = json.loads(text)["clients"].values()
    grammar = json.loads((ROOT / "grammar" / "grain.tmLanguage.json").read_text(encoding="utf-8"))
    assert client["command"] == SERVER
    assert client["selector"] == grammar["scopeName"]
    program = re.search(r'grammar="(.*?)"\n', "\n".join(blocks("sh")), re.DOTALL)
    assert program
    written = subprocess.run([sys.executable, "-c", program[1]], capture_output=True, check=True)
    assert plistlib.loads(written.stdout) == grammar


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_the_tree_sitter_grammar_is_put_where_editors_look(tmp_path: Path) -> None:
    scripts = [block for block in blocks("sh") if block.startswith("mkdir")]
    assert len(scripts) == 2
    for script in scripts:
        subprocess.run(["sh", "-ec", script], cwd=ROOT, env={**os.environ, "HOME": str(tmp_path)})
    config = tmp_path / ".config"
    assert {str(path.relative_to(config)) for path in config.rglob("grain*")} == {
        "helix/runtime/grammars/grain.so",
        "helix/runtime/queries/grain",
        "nvim/parser/grain.so",
        "nvim/queries/grain",
    }


def test_zed() -> None:
    folder = ROOT / "grammar" / "editors" / "zed"
    extension = tomllib.loads((folder / "extension.toml").read_text(encoding="utf-8"))
    language = tomllib.loads((folder / "languages/grain/config.toml").read_text(encoding="utf-8"))
    (server,) = extension["language_servers"].values()
    assert server["languages"] == [language["name"]]
    assert language["path_suffixes"] == ["grain"]
    grammar = ROOT / extension["grammars"][language["grammar"]]["path"]
    assert (grammar / "src" / "parser.c").is_file()
    colours = grammar / "queries" / "highlights.scm"
    assert (folder / "languages/grain/highlights.scm").read_bytes() == colours.read_bytes()
    source = (folder / "src" / "lib.rs").read_text(encoding="utf-8")
    assert 'worktree.which("grain")' in source
    assert 'vec!["language-server"' in source
    settings = json.loads(blocks("json")[1])
    assert settings["lsp"].keys() == extension["language_servers"].keys()


def test_every_editor_of_the_table_has_a_section() -> None:
    named = re.findall(r"^\| \[(.+?)\]\(#(.+?)\)", PAGE, re.MULTILINE)
    sections = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert named == [(section, section.lower().replace(" ", "-")) for section in sections]
