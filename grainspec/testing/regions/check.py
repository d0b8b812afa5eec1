"""Check how the regions of a spec are bound to pixels."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec
from grainspec.regions.bind import bind_regions
from grainspec.testing.regions.binding import Binder, Binding
from grainspec.testing.regions.registry import REGION_PROPERTIES


def check_regions(
    spec: EditSpec,
    base: str | Path,
    *,
    properties: Collection[str] | None = None,
    bind: Binder = bind_regions,
    errors_allowed: bool = False,
) -> None:
    """Check that a spec's regions are bound to the right pixels; raise :class:`Broken` if not.

    The pixels are computed a second time, independently and slowly, from the definitions of shapes,
    operators, crops, parts and kept regions; and they are compared with those of equal expressions.
    :data:`REGION_PROPERTIES` has the properties by name; ``properties`` are the names of those to
    check, or None for all. Relative paths start at ``base``. ``bind`` replaces grainspec's own
    binding. Variants are checked too. Of long clips some frames are checked.

    Raises GrainError for mistakes in the spec or its files, but those of regions (such as empty
    ones) only after it has checked that they are true, and not with ``errors_allowed``.

    >>> import tempfile, grainspec
    >>> from PIL import Image
    >>> spec = grainspec.parse('''
    ...     grain 1  video "clip" { crop box(4px, 4px, 36px, 28px) }  target "a bear in the snow"
    ...     region bear = ellipse(10%, 20%, 60%, 90%) grow 2px
    ...     region snow = rest
    ...     edit bear -> "bear"  edit snow -> "snow"
    ... ''')
    >>> with tempfile.TemporaryDirectory() as folder:  # a clip of one frame
    ...     (Path(folder) / "clip").mkdir()
    ...     Image.new("RGB", (40, 28)).save(f"{folder}/clip/00000.png")
    ...     check_regions(spec, folder)
    """
    unknown = set(properties or ()) - set(REGION_PROPERTIES)
    if unknown:
        known = [*REGION_PROPERTIES]
        raise ValueError(f"unknown properties {sorted(unknown)}; there are {known}")
    edited = [spec.without_variants()] if spec.target or not spec.variant_names else []
    for version in (*edited, *map(spec.as_variant, spec.variant_names)):
        binding = Binding(version, Path(base), bind)
        try:
            _ = binding.plain
        except GrainError:  # a mistake in the clip or in masks
            if errors_allowed:
                continue
            raise
        for name, check in REGION_PROPERTIES.items():
            if properties is None or name in properties:
                check(binding)
        if isinstance(binding.outcome, GrainError) and not errors_allowed:
            raise binding.outcome
