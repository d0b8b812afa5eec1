"""The rows of the ablations: frames, parts of the modulation, settings of the published code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from grainspec.model.settings.profiles import PROFILES
from grainspec_runtime.bench.clip_methods import PULL
from grainspec_runtime.bench.methods import OFF, Method
from grainspec_runtime.bench.paper.methods import IMAGE, PUBLISHED_FREEU, UNPOSED, clip, unposed

TEMPORAL: tuple[Method, ...] = tuple(
    made(f"scope {title}{suffix}", f"ours, where every frame attends to {what}", {"frames": scope})
    for made, suffix in ((clip, ""), (unposed, UNPOSED))
    for title, scope, what in (
        ("each", "each", "itself only"),
        ("first-last", "first_last", "the first and the last frame"),
        ("sparse", "sparse_causal", "the first and the previous frame"),
        ("full", "full", "all frames"),
    )
)


_INJECT: dict[str, Any] = {"layers": "videograin", "features": 0.2, "self": 0.2}


def _settings() -> tuple[Method, ...]:
    """VideoGrain's code with one of our choices in place of its own, all of them, or its options.

    The settings are those in which the profile `videograin` departs from `stable_diffusion`, which
    has the same constants in the equations of the paper, and the scope of group norms, which is
    another for the demo models than for all others.
    """
    code, equations = PROFILES["videograin"], PROFILES["stable_diffusion"]
    published = IMAGE[1]
    ours = {
        name: getattr(equations, name)
        for name in type(code).model_fields
        if getattr(code, name) != getattr(equations, name)
    }
    ours |= {"norm": "each"}
    theirs = {**code.model_dump(), **published.attention}
    alone = (
        replace(
            published,
            name=f"VideoGrain, {name} {_as_text(value)}",
            about=f"{_as_text(value)} in place of {_as_text(theirs[name])}",
            attention={**published.attention, name: value},
        )
        for name, value in ours.items()
    )
    return (
        *alone,
        replace(
            published,
            name="VideoGrain, all of these",
            about="the profile `stable_diffusion`: the paper's equations",
            attention={"profile": "stable_diffusion", "norm": "each"},
        ),
        replace(
            published,
            name="VideoGrain, inject",
            about="with the source's features in the layers of VideoGrain's code, in 20 % of the "
            "steps; its examples have 0 to 80 %",
            inject=_INJECT,
        ),
        replace(
            published,
            name="VideoGrain, flow, inject",
            about="with FLATTEN's attention and Plug-and-Play's features, as in its section 4.1",
            inject=_INJECT,
            flow=True,
        ),
        replace(
            published,
            name="VideoGrain, freeu",
            about="with FreeU by the factors of VideoGrain's code",
            freeu=PUBLISHED_FREEU,
        ),
        replace(
            published,
            name="VideoGrain, late blend",
            about="blended from a quarter of the steps on, which is no option of its code",
            late=0.25,
        ),
    )


def _as_text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


SETTINGS = _settings()


def modulation(ours: Method, *, flow_matching: bool) -> tuple[Method, ...]:
    """Ours with other parts of the modulation, named after it.

    Ours modulates both kinds of attention in image models, and cross-attention alone in the demo's
    video model, whose profile leaves self-attention as it is.
    """
    parts: dict[str, dict[str, float]] = {"cross only": {"self": 0.0}, "self only": {"cross": 0.0}}
    if flow_matching:
        parts = {"both": {"self": PULL}, "self only": {"cross": 0.0, "self": PULL}}
    parts["no modulation"] = OFF
    return tuple(
        replace(
            ours,
            name=f"{ours.name}, {title}",
            about=f"{ours.name} with modulation: {title}",
            attention={**ours.attention, **settings},
        )
        for title, settings in parts.items()
    )
