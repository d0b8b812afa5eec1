"""Text in the language: specs written out, in any layout."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st

from grainspec.model.spec import BLOCKS, EditSpec
from grainspec.testing.strategies.specs import specs
from grainspec.text.printer import dumps


@cache
@st.composite
def grain_texts(draw: st.DrawFn, *, settings: bool = True) -> str:
    """Valid ``.grain`` text whose white space, line ends and comments differ from ``grain fmt``'s.

    Without ``settings`` it has no variants, and its only blocks are ``video``, ``control`` and
    ``blend``.

    >>> from hypothesis import find
    >>> find(grain_texts(), lambda text: True).startswith("grain 1")
    True
    """
    spec = draw(specs(variants=1 if settings else 0))
    if not settings:
        fields = [block.field for word, block in BLOCKS.items() if word not in KEPT]
        plain = {field: EditSpec.model_fields[field].default for field in fields}
        spec = spec.model_copy(update=plain)
    lines = [line for line in dumps(spec).split("\n") if line]
    style = draw(_STYLES)
    indent, between, end, comment = style
    made = [f"{indent if number % 2 else ''}{line}{comment}" for number, line in enumerate(lines)]
    return f"{end}{between}".join(made)


KEPT = ("video", "control", "blend")
"""The blocks of texts without settings."""

_STYLES = st.sampled_from(
    [
        ("", "", "\n", ""),
        ("    ", "", "\n", ""),
        ("\t", "\n", "\n", "  # → so"),
        ("", "", "\r\n", ""),
        (" ", "# a line of its own\n", "\n", " #"),
    ]
)
"""Text before a line, between lines, at a line's end, and after its statement."""
