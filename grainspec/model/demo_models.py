"""The names of the embedded models."""

from __future__ import annotations

from typing import Literal, cast, get_args

DemoModel = Literal["demo-image", "demo-motion", "demo-video"]
"""An embedded model: an image model, the same with a motion adapter, or a video transformer."""

DEMO = "demo"
"""The name of the default model, which is one of the embedded ones."""
DEFAULT_DEMO: DemoModel = "demo-image"
"""The model that ``demo`` names."""


def demo_model(model: str) -> DemoModel | None:
    """Return the embedded model that a spec's ``model`` names; None for all other models.

    >>> demo_model("demo"), demo_model("demo-video"), demo_model("./demo-video")
    ('demo-image', 'demo-video', None)
    """
    if model == DEMO:
        return DEFAULT_DEMO
    return cast(DemoModel, model) if model in get_args(DemoModel) else None


def demo_profile(model: str) -> Literal["demo", "demo_video"] | None:
    """Return the profile of attention that was tuned on an embedded model; None for other models.

    >>> demo_profile("demo"), demo_profile("demo-video"), demo_profile("owner/name")
    ('demo', 'demo_video', None)
    """
    embedded = demo_model(model)
    if embedded is None:
        return None
    return "demo_video" if embedded == "demo-video" else "demo"


def is_demo_unet(model: str) -> bool:
    """Return whether a model is the embedded image model, with or without its motion adapter."""
    return demo_model(model) in {"demo-image", "demo-motion"}
