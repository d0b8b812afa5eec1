"""Mutants are made as told, and what comes of them is told apart."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from clips import ROOT

MUTANTS = ROOT / "runtime" / "benchmarks" / "mutants"
sys.path.insert(0, str(MUTANTS))

from mutant import GROUPS, Known, Mutant, drawn, found, listed, mutants  # noqa: E402
from operators import edits  # noqa: E402
from source import Source  # noqa: E402
from tables import survived, table  # noqa: E402
from tree import PUBLIC as PUBLIC_CHECKS  # noqa: E402
from tree import Limits  # noqa: E402
from trying import Result, finished, results, trees, unmutated  # noqa: E402


@pytest.fixture(scope="module")
def made() -> list[Mutant]:
    return list(mutants(ROOT))


def changed(text: str) -> set[str]:
    """All mutants of a text that compile."""
    source = Source(text.encode())
    every = [Mutant("all", "file.py", edit, source) for edit in edits(source)]
    return {mutant.changed.decode() for mutant in every if mutant.is_valid}


def test_a_seed_always_draws_the_same(made: list[Mutant]) -> None:
    first, _ = drawn(made, 4, 50)
    again, _ = drawn(mutants(ROOT), 4, 50)
    other, _ = drawn(made, 5, 50)
    assert [mutant.id for mutant in first] == [mutant.id for mutant in again]
    assert len({mutant.id for mutant in [*first, *other]}) > 80
    groups = [mutant.group for mutant in first]
    assert {name: groups.count(name) for name in GROUPS} == {"plan": 20, "regions": 20, "words": 10}


def test_a_mutant_changes_one_place_of_its_file(made: list[Mutant]) -> None:
    for mutant in drawn(made, 6, 100)[0]:
        data, (start, end) = (ROOT / mutant.file).read_bytes(), mutant.edit.span
        assert mutant.changed == data[:start] + mutant.edit.text.encode() + data[end:]
        assert ast.dump(ast.parse(mutant.changed)) != ast.dump(ast.parse(data))
        assert data.decode().splitlines()[mutant.line - 1].split()[0] in mutant.before
        assert mutant.before != mutant.after
        assert f"b/{mutant.file}" in mutant.diff()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = b + c", {"a = b - c"}),
        ("ä = 'ö' ; b = (c) // (d)", {"ä = 'ö' ; b = (c) / (d)"}),
        ("a = (b +  # not - here\n  c)", {"a = (b -  # not - here\n  c)"}),
        ("a = -b", {"a = b"}),
        ("a += b", {"a -= b", "pass"}),
        ("a = b < c", {"a = b <= c", "a = b >= c"}),
        ("a = b not in c", {"a = b in c"}),
        ("a = b == c != d", {"a = b != c != d", "a = b == c == d"}),
        ("a = b is not None", {"a = b is None"}),
        ("a = b and c", {"a = b or c"}),
        ("a = not b", {"a =  b"}),
        ("a = b << c | d", {"a = b >> c | d", "a = b << c & d"}),
        ("a = ~b", {"a = b"}),
        ("a = 1", {"a = 2", "a = 0"}),
        ("a = 0.5", {"a = 1.5", "a = 0.25"}),
        ("a = True", {"a = False"}),
        ("a = b[c:d]", {"a = b[:d]", "a = b[c:]"}),
        ("a = b.any()", {"a = b.all()"}),
        ("a = max(b, c)", {"a = min(b, c)"}),
        ("a = f(b, c)", {"a = f(c, b)"}),
        ("f(b)", {"pass"}),
        ("a[b] = c", {"pass"}),
        ("if a: b = c", {"if True: b = c", "if False: b = c"}),
        ("for a in b:\n  break", {"for a in b:\n  continue", "for a in b:\n  pass"}),
        ("a = [b for b in c if d]", {"a = [b for b in c if True]", "a = [b for b in c if False]"}),
        (
            "def f() -> bool:\n  return a",
            {f"def f() -> bool:\n  return {v}" for v in (True, False)},
        ),
        ("def f() -> A | None:\n  return a", {"def f() -> A | None:\n  return None"}),
        ("def f(a=1): pass", {"def f(a=2): pass", "def f(a=0): pass"}),
        ("def f():\n  yield a", {"def f():\n  yield from ()"}),
    ],
)
def test_operators(text: str, expected: set[str]) -> None:
    assert changed(text) == expected


UNTOUCHED = '''
"""A docstring of 3 words: 1 + 1 < 3."""
from typing import TYPE_CHECKING
__all__ = ["a"]
if TYPE_CHECKING:
    A = 1
Span = tuple[int, int] | None
@dataclass(frozen=True, slots=True)
class B(C[1], D):
    """Another."""
    x: Literal[1, 2] | None
    y: tuple[int, Literal[3]]
    """And another, of 1."""
@lru_cache(maxsize=64)
def f(a: Literal[1] | int, *, b: int | str) -> Literal[True] | int:
    assert a > 1, "a is 1"
    message = f"{a + 1} of {b} < 3"
    message += "1"
    message = "1" if a else f"2"
    c = "a" + "b"
    d = cast(Literal[1] | None, c)
    e = Diagnostic("G100", c, d, a + 1)
    return f"{a + 1:>{b + 1}}" "1"
'''


def test_what_is_no_code_stays() -> None:
    assert changed(UNTOUCHED) == set()
    assert changed("a = zip(b, c, strict=True)") == {"a = zip(c, b, strict=True)"}
    assert changed("a = b.astype(c, copy=False)") == set()


def test_lists_are_up_to_date(made: list[Mutant]) -> None:
    for name in ("sample.toml", "equivalent.toml"):
        chosen, gone = found(listed(name), made)
        assert gone == [], f"update {name}"
        assert all(mutant.is_valid for mutant in chosen)
    assert all(entry.reason for entry in listed("equivalent.toml"))
    keys = [entry.key for entry in listed("equivalent.toml")]
    assert len(keys) == len(set(keys))


def test_a_list_says_what_the_text_has_no_more(made: list[Mutant]) -> None:
    known = [Known(mutant.file, f"  {mutant.before}  ", mutant.after) for mutant in made[:2]]
    gone = Known("grainspec/words.py", "x = 1", "x = 2")
    chosen, missing = found([*known, gone], made)
    assert [mutant.after for mutant in chosen] == [entry.after for entry in known]
    assert missing == [gone]


def test_an_equivalent_mutant_is_drawn_and_not_counted(made: list[Mutant]) -> None:
    before, _ = drawn(made, 7, 25)
    out = before[3]
    after, skipped = drawn(made, 7, 25, left_out=[Known(out.file, out.before, out.after)])
    assert [mutant.id for mutant in skipped] == [out.id]
    assert len(after) == 25
    assert out.id not in {mutant.id for mutant in after}


PACKAGE = """
from time import sleep

def named(): return 1
def crash(): return 2
def both(): return 3
def hangs(): return 4
def tested(): return 5
def missed(): return 6
def killed(): return 7
"""

PUBLIC = """
import os, sys, time
sys.path[:0] = [HOME, os.getcwd()]
from catching import main
import fake

class Broken(AssertionError):
    invariant = "numbers"

def crash():
    assert fake.crash() == 2 and fake.both() == 3

def passed_on():
    if fake.crash() != 2:
        raise Broken("the check raised ValueError") from ValueError()

def named():
    if fake.named() != 1 or fake.both() != 3:
        raise ExceptionGroup("both", [ValueError(), Broken("not the number")])

def vague():
    error = Broken("a crash")
    error.invariant = "compiling"
    if fake.crash() != 2:
        raise error

def hangs():
    if fake.hangs() != 4:
        time.sleep(99)

def killed():
    if fake.killed() != 7:
        os._exit(3)

main([("c", crash), ("v", vague), ("p", passed_on), ("n", named), ("h", hangs), ("k", killed)], "fake")
"""

TESTS = """
import fake

def test_fails_anyway(): assert False
def test_numbers(): assert fake.tested() == 5
"""


def package(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    public = root / PUBLIC_CHECKS
    public.parent.mkdir(parents=True)
    public.write_text(f"HOME = {str(MUTANTS)!r}\n{PUBLIC}")
    (root / "fake").mkdir()
    (root / "fake" / "__init__.py").write_text(PACKAGE)
    (root / "test_fake.py").write_text(TESTS)
    return root


def test_outcomes_are_told_apart(tmp_path: Path) -> None:
    """Mutants of a package of seven functions, each of which is missed in another way."""
    root = package(tmp_path)
    made = [m for m in mutants(root, {"fake": ("fake/*.py",)}) if "+" not in m.after]
    names = "named crash both hangs killed tested missed".split()
    chosen = [next(m for m in made if m.before.startswith(f"def {name}()")) for name in names]
    with trees(root, 2, compiled="fake") as copies:
        usual = unmutated(copies, ["test_fake.py"])
        for tree in copies:
            tree.tests = [f"--deselect={name}" for name in usual.failing]
        all_results = list(results(chosen, copies, Limits(4, 60), lambda group: ["test_fake.py"]))
        assert (copies[0].place / "fake" / "__init__.py").read_text() == PACKAGE
    assert not copies[0].place.exists()
    assert usual.failing == ("test_fake.py::test_fails_anyway",)
    assert usual.limits.public == 60

    def outcome(name: str) -> tuple[str, str, str | None]:
        (result,) = (r for r in all_results if r["before"].startswith(f"def {name}()"))
        tests = result["tests"] and result["tests"]["outcome"]
        return result["public"]["outcome"], result["public"].get("by", ""), tests

    assert outcome("named") == ("named", "numbers", None)
    assert outcome("crash") == ("crash", "AssertionError", None)
    assert outcome("both") == ("named", "numbers", None)  # whatever crashed before
    assert outcome("hangs") == ("timeout", "", None)
    assert outcome("killed") == ("crash", "exit", None)
    assert outcome("tested") == ("survived", "", "caught")
    assert outcome("missed") == ("survived", "", "survived")
    assert [result["before"].split("()")[0] for result in survived(all_results)] == ["def missed"]
    assert "+def missed(): return" in survived(all_results)[0]["diff"]
    last = table(all_results).splitlines()[-1]
    assert last == "| fake | 7 | 2 (29%) | 2 | 1 | 5 (71%) | 6 (86%) | 1 |"


def test_an_environment_that_fails_catches_nothing(tmp_path: Path) -> None:
    root = package(tmp_path)
    made = list(mutants(root, {"fake": ("fake/*.py",)}))
    with trees(root, 1, compiled="fake") as copies:
        (copies[0].place / PUBLIC_CHECKS).write_text("import no_such_module")
        with pytest.raises(RuntimeError, match="without a mutant.*no_such_module"):
            list(results(made[:1], copies, Limits(60, 60), None))


def test_an_interrupted_run_continues(made: list[Mutant]) -> None:
    def result(mutant: Mutant, public: str, tests: str | None) -> Result:
        outcomes = {"public": {"outcome": public}, "tests": tests and {"outcome": tests}}
        return mutant.as_json() | outcomes

    outcomes = [("named", None), ("crash", None), ("survived", None), ("survived", "caught")]
    kept = [result(m, *pair) for m, pair in zip(made[:4], outcomes, strict=True)]
    chosen = made[:6]
    assert finished(kept, chosen, tests=True, retry=False) == [kept[0], kept[1], kept[3]]
    assert finished(kept, chosen, tests=False, retry=False) == kept
    assert finished(kept, chosen, tests=True, retry=True) == kept[:1]
    assert finished(kept, made[1:2], tests=True, retry=False) == kept[1:2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(MUTANTS), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_mutants_are_listed_and_shown() -> None:
    done = run("--seed", "3", "--count", "6", "--only", "words", "--list")
    entries = json.loads(done.stdout)
    assert len(entries) == 6
    assert {entry["file"] for entry in entries} <= {"grainspec/words.py", "grainspec/scripts.py"}
    shown = run("--show", entries[0]["id"])
    lines = [" ".join(line[1:].split()) for line in shown.stdout.splitlines()]
    assert any(line and line in entries[0]["after"] for line in lines)
    assert run("--show", "00000000").returncode == 1
