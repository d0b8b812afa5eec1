"""Which of the project's tests run for a mutant, the likeliest to catch it first."""

from __future__ import annotations

from pathlib import Path

FIRST = {
    "plan": "plan invariants oracle windows plan_save planted_mistakes strategies text_tokens "
    "variants prompts shown regions",
    "regions": "regions masks shapes labels mask_arrays mask_frames shades crop planted_mistakes "
    "numbering timing hostile_files untrusted findings",
    "words": "words text_tokens prompts plan oracle planted_mistakes",
}
"""For each group of modules, the names of files in tests/grainspec, without `test_`."""

ALSO = ("tests/test_documentation.py::test_examples_in_docstrings[grainspec]",)
"""A test of the light package that lies elsewhere: the examples in docstrings."""

OPTIONS = ("-m", "not slow and not needs_runtime", "-p", "no:randomly", "--hypothesis-seed=0")


def test_files(tree: Path, group: str) -> list[str]:
    """All test files of the light package, in the order for a group of modules."""
    first = [f"tests/grainspec/test_{name}.py" for name in FIRST.get(group, "").split()]
    others = sorted(
        path.relative_to(tree).as_posix() for path in tree.glob("tests/grainspec/test_*.py")
    )
    files = dict.fromkeys([*first, *others, *ALSO])
    return [file for file in files if (tree / file.partition("::")[0]).exists()]
