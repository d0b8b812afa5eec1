"""The entry point for Hypothesis: ``from_type`` knows grainspec's types.

Hypothesis calls :func:`register_if_used` whenever it is imported, in every project of an
environment that has grainspec, so it imports no more for those that do not use it. Otherwise the
first name that is taken from :mod:`grainspec` or :mod:`grainspec.testing` calls :func:`register`.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Any

TYPES = {
    "grainspec.model.shapes": ("Length", "FrameRange", "Keyframe", "Point", "Outline"),
    "grainspec.model.algebra": (
        "MaskFiles", "Box", "Polygon", "Rest", "All", "Reference", "Union", "Intersection",
        "Difference", "Complement", "Grown", "During", "Smoothed", "Track", "Find", "Prompt",
    ),
    "grainspec.model.settings.video": ("Size", "Video"),
    "grainspec.model.settings.attention": ("Modulation",),
    "grainspec.model.settings.sampler": ("Sampler",),
    "grainspec.model.settings.method": ("Method",),
    "grainspec.model.settings.control": ("Control",),
    "grainspec.model.settings.blend": ("Blend",),
    "grainspec.model.settings.flow": ("Flow",),
    "grainspec.model.settings.inject": ("Inject",),
    "grainspec.model.settings.freeu": ("FreeU",),
    "grainspec.model.settings.context": ("Context",),
    "grainspec.model.settings.tracking": ("Tracking", "Finding"),
    "grainspec.model.partial": ("Attention", "SamplerChange"),
    "grainspec.model.spec": ("EditSpec", "Region", "Edit", "Keep", "Free", "Without", "Variant"),
    "grainspec.plan.backbone": ("Backbone",),
    "grainspec.plan.mask_plan": ("MaskPlan", "PlanLevel", "PlannedEdit"),
    "grainspec.regions.layout": ("Layout",),
    "grainspec.testing.case": ("Case",),
}  # fmt: skip
"""The registered types by module; :mod:`grainspec.testing.strategies.of_types` has a strategy for
each."""


def register_if_used() -> None:
    """Register the strategies if grainspec has been used before Hypothesis was imported.

    >>> register_if_used()
    """
    if "grainspec.model" in sys.modules:
        register()


@cache
def register() -> None:
    """Register the strategies of the types in :data:`TYPES`.

    >>> from grainspec import EditSpec
    >>> from hypothesis import find, strategies as st
    >>> find(st.from_type(EditSpec), lambda spec: spec.source == "").source
    ''
    """
    from hypothesis.strategies import register_type_strategy

    for module, names in TYPES.items():
        for name in names:
            register_type_strategy(getattr(import_module(module), name), _strategy)


def _strategy(wanted: type) -> Any:
    return import_module("grainspec.testing.strategies.of_types").of_type(wanted)
