"""The statements of the language: keyword, how often each may occur, and meaning."""

from __future__ import annotations

from typing import Literal, NamedTuple


class StatementWord(NamedTuple):
    """One kind of statement, identified by the keyword that begins it."""

    word: str
    form: str
    """How it is written, for the reference."""
    times: Literal["once", "at most once", "any number"]
    in_variant: Literal["yes", "no", "only"]
    """Whether a variant may contain it; ``only`` if nothing but a variant may."""
    meaning: str


STATEMENT_WORDS = tuple(
    StatementWord(*row)
    for row in (
        ("grain", "grain 1", "once", "no", "the version of the language"),
        (
            "video",
            'video "PATH" { … }',
            "once",
            "no",
            "the clip: a video file, or a folder of images `00000.png`, `00001.png`, …",
        ),
        (
            "model",
            "model NAME",
            "at most once",
            "no",
            "`demo` (the embedded model, the default), or in quotes a folder or hub id of a Stable "
            "Diffusion checkpoint",
        ),
        ("source", 'source "…"', "at most once", "no", "what the clip shows; empty by default"),
        (
            "target",
            'target "…"',
            "at most once",
            "yes",
            "what the edited clip shows, including the words of every edit; required here or in "
            "every variant",
        ),
        ("negative", 'negative "…"', "at most once", "yes", "what the edited clip must not show"),
        ("region", "region NAME = …", "any number", "no", "a [region](#regions), by name"),
        (
            "edit",
            'edit REGION -> "…" { … }',
            "any number",
            "yes",
            "what a region becomes: see [edits](#edits)",
        ),
        (
            "add",
            'add part REGION of OWNER -> "…" { … }',
            "any number",
            "yes",
            "something new on another region",
        ),
        ("keep", "keep REGION, …", "any number", "yes", "regions that must not change"),
        (
            "free",
            "free REGION, …",
            "any number",
            "yes",
            "regions that may change although no edit names them",
        ),
        (
            "attention",
            "attention PROFILE { … }",
            "at most once",
            "yes",
            "[how strongly attention is modulated](#attention-profile), when and where",
        ),
        (
            "flow",
            "flow { … }",
            "at most once",
            "no",
            "[attention along optical flow](#flow); off by default",
        ),
        (
            "inject",
            "inject { … }",
            "at most once",
            "no",
            "[injection of the source clip's features](#inject); off by default",
        ),
        (
            "context",
            "context { … }",
            "at most once",
            "no",
            "[windows over long clips](#context); off by default",
        ),
        (
            "sampler",
            "sampler METHOD { … }",
            "at most once",
            "yes",
            "how the edit is [sampled](#sampler-method)",
        ),
        (
            "control",
            "control KIND { … }",
            "any number",
            "no",
            "a property of the clip that a [ControlNet](#control-kind) preserves",
        ),
        (
            "blend",
            "blend { … }",
            "at most once",
            "no",
            "how edited regions and source are [combined](#blend)",
        ),
        (
            "variant",
            "variant NAME { … }",
            "any number",
            "no",
            "another [edit of the same clip](#variants)",
        ),
        (
            "without",
            "without REGION, …",
            "any number",
            "only",
            "in a variant: ignore what the spec says about these regions",
        ),
    )
)

STATEMENTS = tuple(statement.word for statement in STATEMENT_WORDS)
"""The word that begins each statement."""

SHARED = frozenset(statement.word for statement in STATEMENT_WORDS if statement.in_variant == "no")
"""Statements that a variant cannot contain: they apply to all variants."""

ONCE = frozenset(statement.word for statement in STATEMENT_WORDS if statement.times != "any number")
"""Statements that may occur only once, or once in each variant."""
