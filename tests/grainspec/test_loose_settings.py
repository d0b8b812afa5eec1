"""Settings that are written as statements: they go into one block, and no setting is lost."""

from __future__ import annotations

import pytest

from grainspec import parse_all
from grainspec.diagnostics import Diagnostic, Fix
from grainspec.diagnostics.fixing import fix_text
from grainspec.diagnostics.span import Span

START = 'grain 1\nvideo "c"\ntarget "a bear"\nregion r = all\nedit r -> "bear"\n'


def fixed(text: str) -> tuple[str, list[str]]:
    result = fix_text(text, lambda text: parse_all(text).diagnostics)
    return result.text, [finding.message for finding in result.left if finding.is_error]


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("num_inference_steps 30\nguidance_scale 7\n", "sampler { steps 30 guidance 7 }\n"),
        ("sampler ddim { steps 30 }\nseed 3\n", "sampler ddim { steps 30 seed 3 }\n"),
        ("seed 3\nsampler ddim\n", "sampler ddim { seed 3 }\n"),
        ("seed: 3;\nsampler ddim {}\n", "sampler ddim { seed 3 }\n"),
        (
            "sampler ddim {\n  steps 30  # few\n}\nseed 3\neta 0.1",
            "sampler ddim {\n  steps 30 seed 3 eta 0.1  # few\n}\n",
        ),
        ("sampler { steps 9 }\nseed 3  # mine\n", "sampler { steps 9 seed 3 }\n  # mine\n"),
        (
            "sampler { steps 9 }\nvariant v {\n  steps 3\n  cfg 2\n}\n",
            "sampler { steps 9 }\nvariant v {\n  sampler { steps 3 guidance 2 }\n}\n",
        ),
        (
            "seed 1\nvariant v {\n  sampler { steps 3 }\n  cfg 2\n}\n",
            "sampler { seed 1 }\nvariant v {\n  sampler { steps 3 guidance 2 }\n}\n",
        ),
    ],
)
def test_they_go_into_the_block_of_their_scope(written: str, right: str) -> None:
    assert fixed(START + written) == (START + right, [])


@pytest.mark.parametrize("line", ["steps 20", "num_inference_steps 20", "steps 20 30"])
def test_what_is_not_certain_stays(line: str) -> None:
    text = f"{START}sampler ddim {{ steps 30 }}\n{line}\n"
    after, left = fixed(text)
    assert after == text
    assert len(left) == 1


def test_the_cure_names_the_line() -> None:
    (finding,) = parse_all(START + "sampler { steps 30 }\nseed 3\n").diagnostics
    assert finding.cure == "Write `sampler { steps 30 seed 3 }` in line 6."
    finding = parse_all(START + "sampler { seed 30 }\nseed 3\n").diagnostics[-1]
    assert finding.cure == "`sampler` in line 6 has `seed` already: remove one of them."


def test_a_round_that_doubles_a_statement_is_taken_back() -> None:
    def check(text: str) -> list[Diagnostic]:
        if text == "b":
            return [Diagnostic("G007", "duplicate")]
        return [Diagnostic("G001", "unknown", fixes=(Fix(Span(1, 1, 1, 2), "b"),))]

    assert fix_text("a", check).text == "a"
