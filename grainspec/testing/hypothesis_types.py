"""The entry point for Hypothesis: ``from_type`` knows grainspec's types.

Hypothesis calls :func:`register` whenever it is imported, in every project of an environment that
has grainspec. So nothing is imported here; types are registered once their module is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

TYPES = {
    "grainspec.model.shapes": ("Length", "FrameRange", "Keyframe", "Point", "Outline"),
    "grainspec.model.algebra": (
        "MaskFiles", "Box", "Polygon", "Rest", "All", "Reference", "Union", "Intersection",
        "Difference", "Complement", "Grown", "During",
    ),
    "grainspec.model.settings": (
        "Size", "Video", "Modulation", "Sampler", "Control", "Blend", "Flow", "Inject", "Context",
    ),
    "grainspec.model.partial": ("Attention", "SamplerChange"),
    "grainspec.model.spec": ("EditSpec", "Region", "Edit", "Keep", "Free", "Without", "Variant"),
    "grainspec.plan.backbone": ("Backbone",),
    "grainspec.plan.mask_plan": ("MaskPlan", "PlanLevel", "PlannedEdit"),
    "grainspec.regions.layout": ("Layout",),
    "grainspec.testing.case": ("Case",),
}  # fmt: skip
"""The registered types by module; :mod:`grainspec.testing.strategies.of_types` has a strategy for
each."""


def register() -> None:
    """Register the strategies of the types in :data:`TYPES`, now or when they are imported.

    >>> from grainspec import EditSpec
    >>> from hypothesis import find, strategies as st
    >>> register()
    >>> find(st.from_type(EditSpec), lambda spec: spec.negative == "blurry").negative
    'blurry'
    """
    for name in TYPES:
        if name in sys.modules:
            _register(sys.modules[name])
    if not any(isinstance(finder, _Importer) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Importer())


def _register(module: ModuleType) -> None:
    from hypothesis.strategies import register_type_strategy

    for name in TYPES[module.__name__]:
        register_type_strategy(getattr(module, name), _strategy)


def _strategy(wanted: type) -> Any:
    return import_module("grainspec.testing.strategies.of_types").of_type(wanted)


class _Importer:
    """Registers a module's types after its import, which other importers do."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in TYPES:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        found = next((spec for spec in specs if spec is not None), None)
        if found is None or found.loader is None:
            return found
        execute = found.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            _register(module)

        found.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return found
