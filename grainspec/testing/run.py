"""Test the plans of a spec file, and of random changes of it, against the invariants."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from grainspec.loading import load
from grainspec.model.spec import Edit, EditSpec, Keep
from grainspec.plan.backbone import Backbone
from grainspec.regions.bind import Bound, bind_regions
from grainspec.regions.layout import Layout, Mask
from grainspec.testing.backbone import word_backbone
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case, Compiler, compiled
from grainspec.testing.invariants import INVARIANTS

Progress = Callable[[int, int], None]
"""A function that is called with the number of finished cases and the number of all cases."""


@dataclass(frozen=True)
class Failure:
    """A violated invariant, and the case: the spec itself, or the changes made to it."""

    case: str
    broken: Broken

    def __str__(self) -> str:
        return f"{self.case}: {self.broken}"


@dataclass
class FileResult:
    """The result of testing a file: the number of cases, and each invariant's first failure."""

    path: str
    seed: int
    cases: int = 0
    failures: list[Failure] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "path": self.path,
            "seed": self.seed,
            "cases": self.cases,
            "invariants": list(INVARIANTS),
            "failures": [
                {
                    "invariant": failure.broken.invariant,
                    "case": failure.case,
                    "message": str(failure.broken),
                    "where": {name: str(value) for name, value in failure.broken.where.items()},
                }
                for failure in self.failures
            ],
        }


def check_file(path: str | Path, *, examples: int = 20, seed: int = 0) -> None:
    """Check in a test suite that the plans of a spec, and of random changes of it, are correct.

    Raises :class:`grainspec.testing.Broken` for the first violated invariant, and GrainError for
    mistakes in the spec or its files.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:  # a clip of one frame
    ...     (Path(folder) / "clip").mkdir()
    ...     Image.new("RGB", (64, 64)).save(f"{folder}/clip/00000.png")
    ...     file = Path(folder) / "edit.grain"
    ...     _ = file.write_text(
    ...         'grain 1 video "clip" target "a bear" region r = ellipse(0%, 0%, 50%, 100%)'
    ...         ' edit r -> "bear"'
    ...     )
    ...     check_file(file, examples=2)
    """
    result = try_file(path, examples=examples, seed=seed)
    if result.failures:
        failure = result.failures[0]
        message = f"{failure.broken} [{failure.case}; seed {seed}]"
        raise Broken(failure.broken.invariant, message) from failure.broken


def try_file(
    path: str | Path,
    *,
    examples: int = 20,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
    compiler: Compiler = compiled,
) -> FileResult:
    """Test a spec, each of its variants, and ``examples`` random changes of each.

    ``seed`` determines the changes of settings, weights, frames and positions of regions. The
    backbone is a :func:`word_backbone` with up to four levels, as many as the frame size allows.
    Raises GrainError for mistakes in the spec or its files.

    >>> FileResult("edit.grain", seed=0).as_json()["failures"]
    []
    """
    path = Path(path)
    whole = load(path)
    result = FileResult(str(path), seed)
    chosen = [("", whole.without_variants())] if whole.target and whole.changes else []
    chosen += [(f"variant {name}", whole.as_variant(name)) for name in whole.variant_names]
    bound: Bound | None = None
    total = len(chosen) * (1 + examples)
    for name, spec in chosen:
        bound = bind_regions(spec, path.parent) if bound is None else bound.carved(spec)
        backbone = _backbone(bound.edits)
        rng = random.Random(f"{seed} {name}")
        kept = _kept(spec, bound.regions)
        cases = [("as it is", spec, bound.edits, kept)]
        cases += [_changed(rng, spec, bound.edits, kept) for _ in range(examples)]
        for changes, case_spec, layout, kept_FHW in cases:
            title = ", ".join(filter(None, [name, changes]))
            seen = {failure.broken.invariant for failure in result.failures}
            plan = compiler(case_spec, layout, backbone)
            case = Case(case_spec, layout, backbone, plan, kept_FHW, compiler=compiler)
            for broken in _broken(case):
                if broken.invariant not in seen:
                    result.failures.append(Failure(title, broken))
            result.cases += 1
            progress(result.cases, total)
    return result


def _broken(case: Case) -> Iterator[Broken]:
    for invariant in INVARIANTS.values():
        try:
            invariant(case)
        except Broken as broken:
            yield broken


def _backbone(layout: Layout) -> Backbone:
    """A backbone that supports the frame size of the layout."""
    _, height, width = layout.bits_FHW.shape
    per_latent = next(side for side in (8, 4, 2, 1) if height % side == width % side == 0)
    shorter, levels = min(height, width) // per_latent, 1
    while levels < 4 and shorter >> levels >= 2:
        levels += 1
    return word_backbone(levels=levels, pixels_per_latent=per_latent, max_tokens=1024)


def _kept(spec: EditSpec, regions: Layout) -> Mask:
    kept = np.zeros(regions.bits_FHW.shape, np.bool_)
    for edit in spec.edits:
        if isinstance(edit, Keep):
            kept |= regions.mask(edit.region)
    return kept


def _changed(
    rng: random.Random, spec: EditSpec, layout: Layout, kept: Mask
) -> tuple[str, EditSpec, Layout, Mask]:
    """Change a spec at random; return a description of the changes, and the result."""
    changes = []
    attention = spec.attention.model_copy(
        update={
            "frames": rng.choice(["each", "first_last", "sparse_causal", "full"]),
            "cross": round(rng.random(), 2),
            "self_": round(rng.random(), 2),
            "until": round(rng.random(), 2),
            "decay": rng.choice([0.0, 1.0, 5.0]),
            "resize": rng.choice(["nearest", "area", "any"]),
            "threshold": rng.choice([0.1, 0.5, 1.0]),
            "unbound": rng.choice([0.0, 0.3, 1.0]),
        }
    )
    changes.append(f"frames {attention.frames}, resize {attention.resize}")
    edits = tuple(
        edit.model_copy(update={"weight": round(rng.uniform(0, 4), 2)})
        if isinstance(edit, Edit)
        else edit
        for edit in spec.edits
    )
    bits, frames = layout.bits_FHW, layout.frames
    first = rng.randrange(len(frames))
    last = rng.randrange(first, len(frames))
    bits, kept, frames = bits[first : last + 1], kept[first : last + 1], frames[first : last + 1]
    changes.append(f"frames {frames[0]} to {frames[-1]}")
    if rng.random() < 0.5:
        down, right = rng.randrange(bits.shape[1]), rng.randrange(bits.shape[2])
        bits = np.roll(bits, (down, right), axis=(1, 2))
        kept = np.roll(kept, (down, right), axis=(1, 2))
        changes.append(f"moved by {right},{down} pixels")
    if rng.random() < 0.5:
        bits, kept = bits[:, :, ::-1], kept[:, :, ::-1]
        changes.append("mirrored")
    changed = spec.model_copy(update={"attention": attention, "edits": edits})
    return "; ".join(changes), changed, Layout(layout.names, bits, tuple(frames)), kept
