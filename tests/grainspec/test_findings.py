"""A finding's second places and its corrections: rendered for people, as JSON for programs."""

from __future__ import annotations

from grainspec.diagnostics import Diagnostic, Fix, Related
from grainspec.diagnostics.render import render
from grainspec.diagnostics.span import Span

SOURCE = 'target "a bear"\nkeep all\ntarget "a cat"\n'
FINDING = Diagnostic(
    "G007",
    "duplicate `target`",
    "Remove one.",
    Span(3, 1, 3, 15),
    (Fix(Span(3, 1, 4, 1), ""),),
    (Related(Span(1, 1, 1, 16), "first given here"),),
)


def test_a_second_place_is_shown_below_the_first():
    assert render([FINDING], source=SOURCE, path="edit.grain").plain == (
        "error[G007]: duplicate `target`\n"
        " --> edit.grain:3:1\n"
        "  |\n"
        '3 | target "a cat"\n'
        "  | ^^^^^^^^^^^^^^\n"
        "  |\n"
        '1 | target "a bear"\n'
        "  | --------------- first given here\n"
        "  = Remove one."
    )


def test_json_has_corrections_and_second_places():
    value = FINDING.as_json()
    assert value["fixes"] == [{"line": 3, "column": 1, "end_line": 4, "end_column": 1, "text": ""}]
    assert value["related"] == [
        {"line": 1, "column": 1, "end_line": 1, "end_column": 16, "message": "first given here"}
    ]


def test_a_finding_without_them_has_no_such_fields():
    value = Diagnostic("G108", "the spec has no edit").as_json()
    assert set(value) == {"code", "severity", "message", "cure"}
