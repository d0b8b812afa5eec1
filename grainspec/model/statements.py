"""The statements of the language: keyword, how often each may occur, and meaning."""

from __future__ import annotations

from typing import Literal, NamedTuple

Times = Literal["once", "at most once", "any number"]
InVariant = Literal["yes", "no", "only"]


class StatementWord(NamedTuple):
    """One kind of statement, identified by the keyword that begins it."""

    word: str
    form: str
    """How it is written, for the reference."""
    meaning: str
    times: Times | None = None
    """None for a block of settings, whose field says so: see ``model/rules.py``."""
    in_variant: InVariant | None = None
    """Whether a variant may contain it; ``only`` if nothing but a variant may; None as above."""


STATEMENT_WORDS = tuple(
    StatementWord(*row)
    for row in (
        ("grain", "grain 1", "the version of the language", "once", "no"),
        (
            "video",
            'video "PATH" { … }',
            "the clip: a video file, or a folder of images `00000.png`, `00001.png`, …",
        ),
        (
            "model",
            "model NAME",
            "`demo` (the embedded model, the default), or in quotes a Stable Diffusion, "
            "AnimateDiff or Wan checkpoint: see [model](#model)",
            "at most once",
            "no",
        ),
        (
            "motion_adapter",
            'motion_adapter "…"',
            "layers of motion (AnimateDiff) for an image model: see [model](#model)",
            "at most once",
            "no",
        ),
        ("source", 'source "…"', "what the clip shows; empty by default", "at most once", "no"),
        (
            "target",
            'target "…"',
            "what the edited clip shows, including the words of every edit; required here "
            "or in every variant",
            "at most once",
            "yes",
        ),
        ("negative", 'negative "…"', "what the edited clip must not show", "at most once", "yes"),
        (
            "tracker",
            "tracker ENGINE { … }",
            "what follows [objects from clicks](#regions-from-clicks-and-words)",
        ),
        (
            "finder",
            "finder ENGINE { … }",
            "what finds [objects by words](#regions-from-clicks-and-words)",
        ),
        ("region", "region NAME = …", "a [region](#regions), by name", "any number", "no"),
        (
            "edit",
            'edit REGION -> "…" { … }',
            "what a region becomes: see [edits](#edits)",
            "any number",
            "yes",
        ),
        (
            "add",
            'add part REGION of OWNER -> "…" { … }',
            "something new on another region",
            "any number",
            "yes",
        ),
        ("keep", "keep REGION, …", "regions that must not change", "any number", "yes"),
        (
            "free",
            "free REGION, …",
            "regions that may change although no edit names them",
            "any number",
            "yes",
        ),
        (
            "attention",
            "attention PROFILE { … }",
            "[how strongly attention is modulated](#attention-profile), when and where",
        ),
        ("flow", "flow { … }", "[attention along optical flow](#flow); off by default"),
        (
            "inject",
            "inject { … }",
            "[injection of the source clip's features](#inject); off by default",
        ),
        (
            "freeu",
            "freeu { … }",
            "[a UNet's backbone weighed against its skip connections](#freeu); off by default",
        ),
        ("context", "context { … }", "[windows over long clips](#context); off by default"),
        (
            "sampler",
            "sampler METHOD { … }",
            "how the edit is [sampled](#sampler-method), and by which process",
        ),
        (
            "method",
            "method NAME { … }",
            "[an editing method of another paper](#method-name), in place of this one",
        ),
        (
            "control",
            "control KIND { … }",
            "a property of the clip that a [ControlNet](#control-kind) preserves",
        ),
        ("blend", "blend { … }", "how edited regions and source are [combined](#blend)"),
        (
            "variant",
            "variant NAME { … }",
            "another [edit of the same clip](#variants)",
            "any number",
            "no",
        ),
        (
            "without",
            "without REGION, …",
            "in a variant: ignore what the spec says about these regions",
            "any number",
            "only",
        ),
    )
)

STATEMENTS = tuple(statement.word for statement in STATEMENT_WORDS)
"""The word that begins each statement."""
