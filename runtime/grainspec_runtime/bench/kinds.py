"""The kinds of models that the benchmark's methods are for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from grainspec_runtime.backbones.registry import describe

Kind = Literal["image", "flow-matching video"]


def kind_of(model: str, base: Path = Path()) -> Kind:
    """Return the kind of a model, whose path starts at ``base``.

    Raises GrainError as :func:`.registry.describe` does.

    >>> kind_of("demo-video"), kind_of("demo-image")
    ('flow-matching video', 'image')
    """
    return "flow-matching video" if describe(model, base).noise == "flow" else "image"
