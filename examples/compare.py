"""Compare an edit with and without attention modulation: source clip, both strengths 0, the edit.

    python examples/compare.py examples/pose.grain -o pose.png

Prompts, masks, noise and blending are the same in both edits; only the attention differs.
"""

import argparse
from pathlib import Path

from grainspec import EditSpec, load
from grainspec_runtime import Editor
from grainspec_runtime.views.sheet import sheet


def without_modulation(spec: EditSpec) -> EditSpec:
    """The same spec with both strengths set to 0."""
    attention = spec.attention.model_copy(update={"cross": 0.0, "self_": 0.0})
    return spec.model_copy(update={"attention": attention})


def main() -> None:
    """Edit with and without modulation, and put both results below the source."""
    parser = argparse.ArgumentParser(description="Compare an edit with and without modulation.")
    parser.add_argument("spec", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("compare.png"))
    parser.add_argument("--columns", type=int, default=4, help="number of frames of each clip")
    arguments = parser.parse_args()
    spec, base = load(arguments.spec), arguments.spec.parent
    editor = Editor(spec.model)
    rows = {}
    for label, chosen in (("without modulation", without_modulation(spec)), ("grainspec", spec)):
        result = editor.run(chosen, base=base)
        rows.setdefault("source", result.source)
        rows[label] = result.edited
    sheet(rows, columns=arguments.columns).save(arguments.output, optimize=True)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
