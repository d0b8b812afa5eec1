"""All that can be wrong with a spec, its files and its regions, found before a model is loaded.

:func:`compiled` is common to ``grain check``, ``grain plan`` and ``grain run``. They differ in what
they know of the model: all that its folder says, only its configuration, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from grainspec.checks.clip_frames import Progress, no_progress
from grainspec.checks.meaning import check_meaning
from grainspec.checks.process import check_process, stated_process
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.model.settings.sampler import ProcessName
from grainspec.model.spec import EditSpec

if TYPE_CHECKING:
    from grainspec.plan.backbone import Backbone
    from grainspec.plan.mask_plan import MaskPlan
    from grainspec.regions.bind import Bound

MAX_BYTES = 600_000_000
"""Regions that need more memory than this are bound by ``grain plan`` only."""


class KnownModel(Protocol):
    """What is known of a model before it is loaded."""

    @property
    def backbone(self) -> Backbone:
        """The facts that the compiler needs."""

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The warnings about the model itself."""

    @property
    def default_process(self) -> ProcessName:
        """The process of specs that state none."""

    def check(self, spec: EditSpec, base: Path) -> None:
        """Raise GrainError if a spec uses something that the model does not support."""

    def check_plan(self, spec: EditSpec, base: Path, plan: MaskPlan) -> Iterable[Diagnostic]:
        """The findings about a compiled plan; raises GrainError for errors."""


@dataclass(frozen=True)
class Checked:
    """All findings about a spec; its regions and its plan, if nothing was wrong before them."""

    findings: tuple[Diagnostic, ...]
    bound: Bound | None = None
    plan: MaskPlan | None = None
    model: KnownModel | None = None

    def raise_errors(self) -> None:
        """Raise GrainError with all findings if one of them is an error."""
        if any(finding.is_error for finding in self.findings):
            raise GrainError(self.findings)


def checked(
    spec: EditSpec,
    base: Path,
    model: Callable[[], KnownModel | None],
    *,
    one_of_several: bool = False,
    bound: Bound | None = None,
    progress: Progress = no_progress,
    track: Callable[[], None] | None = None,
) -> Checked:
    """Check a spec without variants: its meaning and files, then its regions, then its plan.

    What follows from an error is not looked for. ``model`` is called once the files are in order;
    without a model there is no plan. ``bound`` are the regions of another variant of the same spec:
    files are not checked again. ``one_of_several`` is that of
    :func:`grainspec.checks.meaning.check_meaning`. ``progress`` is called while frames are decoded.
    ``track`` makes the masks of tracked regions that are missing or stale, once all before them is
    in order.
    """
    findings = check_meaning(spec, one_of_several=one_of_several)
    if _broken(findings):
        return Checked(tuple(findings))
    if bound is None:
        from grainspec.checks.files import check_files

        findings += check_files(spec, base, progress)
        if _broken(findings):
            return Checked(tuple(findings))
    known = None
    with _collected(findings):
        known = model()
        findings += known.warnings if known and bound is None else ()
    if _broken(findings):
        return Checked(tuple(findings))
    result = compiled(spec, base, known, bound, track)
    # Warnings about masks are found by both, the check of files and binding.
    more = [finding for finding in result.findings if finding not in findings]
    return replace(result, findings=(*findings, *more))


def compiled(
    spec: EditSpec,
    base: Path,
    known: KnownModel | None,
    bound: Bound | None = None,
    track: Callable[[], None] | None = None,
) -> Checked:
    """Bind the regions of a spec whose files are in order, and compile its plan if possible.

    ``bound`` are the regions of another variant of the same spec, ``track`` is that of
    :func:`checked`. Without current masks of tracked regions, nothing is bound.
    """
    findings: list[Diagnostic] = []
    plan = None
    with _collected(findings):
        if known is not None:
            from grainspec.plan.compile import compile_plan

            findings += _of_model(spec, base, known)
        if bound is None:
            from grainspec.checks.tracked_masks import NOT_CURRENT, check_tracked_masks
            from grainspec.regions.bind import bind_regions

            if track is not None:
                track()
            # Those that were just made, or are to be used as they are, are not compared again.
            findings += check_tracked_masks(spec, base, compares_weights=track is None)
            if any(finding.code in NOT_CURRENT for finding in findings):
                return Checked(tuple(findings), None, None, known)
            size = known.backbone.native if known else None
            bound = bind_regions(spec, base, default_size=size)
        else:
            bound = bound.carved(spec)
        if known is not None:
            result = compile_plan(spec, bound.edits, known.backbone)
            plan = result.plan
            findings += [*bound.warnings, *result.warnings]
            findings += known.check_plan(spec, base, plan)
        else:
            findings += bound.warnings
    return Checked(tuple(findings), bound, plan, known)


def _of_model(spec: EditSpec, base: Path, known: KnownModel) -> list[Diagnostic]:
    """The warnings about what a spec asks of its model; raises GrainError for errors."""
    from grainspec.plan.supported import check_steps

    known.check(spec, base)
    findings = _of_default_process(spec, known.default_process)
    check_steps(spec, known.backbone)
    return findings


def _of_default_process(spec: EditSpec, process: ProcessName) -> list[Diagnostic]:
    """The warnings about a spec whose model decides the process; raises GrainError for errors."""
    stated = spec.method or stated_process(spec)
    findings = [] if stated else list(check_process(spec, process))
    if _broken(findings):
        raise GrainError(findings)
    return findings


@contextmanager
def _collected(findings: list[Diagnostic]) -> Iterator[None]:
    """Add the findings of an error that is raised inside."""
    try:
        yield
    except GrainError as error:
        findings += error.diagnostics


def _broken(findings: Iterable[Diagnostic]) -> bool:
    return any(finding.is_error for finding in findings)


# --- a whole spec, for `grain check` -------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """The findings about a spec and all its variants, and what was not looked at."""

    findings: tuple[Diagnostic, ...]
    notes: tuple[str, ...] = ()


def check_all(
    spec: EditSpec, base: Path, *, regions: bool = True, progress: Progress = no_progress
) -> Report:
    """Check a spec and its variants with files and model, and their regions if ``regions``.

    Of the model, only its configuration is read, and only if it is in a local folder; nothing is
    downloaded, and neither torch nor a tokenizer is imported.
    """
    from grainspec.checks.files import check_files

    notes = []
    findings = check_files(spec, base, progress)
    known = None
    with _collected(findings):
        known = outlined_model(spec, base)
        if known is not None:
            findings += known.warnings
        else:
            notes.append(f"{spec.model} is not on this machine, so the model was not checked")
    if _broken(findings):
        return Report(tuple(findings), tuple(notes))
    if not regions:
        return Report((*findings, *_without_regions(spec, base, known)), tuple(notes))
    with _collected(findings):
        findings += _without_soft_edges(spec, base)
    size = _bytes_needed(spec, base, known)
    if size > MAX_BYTES:
        needs = f"the regions of this clip need {size / 1e9:.1f} GB"
        notes.append(f"{needs}, so only `grain plan` computes them")
        return Report((*findings, *_without_regions(spec, base, known)), tuple(notes))
    bound: Bound | None = None
    for variant in _variants(spec):
        result = compiled(variant, base, known, bound)
        bound = bound or result.bound
        findings += [finding for finding in result.findings if finding not in findings]
    if bound is None and not _broken(findings):
        notes.append("the pixels of regions are checked once they are tracked")
    if spec.controls:
        notes.append("the networks of `control` are checked by `grain plan`")
    return Report(tuple(findings), tuple(notes))


def _without_regions(spec: EditSpec, base: Path, known: KnownModel | None) -> list[Diagnostic]:
    """The findings about what a spec and its variants ask of their model."""
    findings: list[Diagnostic] = []
    if known is not None:
        for variant in _variants(spec):
            with _collected(findings):
                findings += _of_model(variant, base, known)
    return list(dict.fromkeys(findings))


def _without_soft_edges(spec: EditSpec, base: Path) -> list[Diagnostic]:
    """The warning about ``blend { edges soft }`` if it has no effect in any edit of the spec.

    Else that about tracked objects with hard edges.
    """
    if spec.blend.edges == "hard" or spec.blend.space not in ("pixels", "both"):
        return []  # a `space` without pixels is told by the spec's own check
    from grainspec.checks.tracked_masks import tracked_masks_of
    from grainspec.regions.coverage import partly_hard_edges, without_soft_edges

    tracked = tracked_masks_of(spec, base)
    found = [without_soft_edges(variant, tracked) for variant in _variants(spec)]
    if found and found[0] and all(found):
        return [found[0]]
    partly = [partly_hard_edges(variant, tracked) for variant in _variants(spec)]
    return list(dict.fromkeys(filter(None, partly)))


def _variants(spec: EditSpec) -> Iterator[EditSpec]:
    """The specs that a spec stands for: itself if it is an edit, and its variants."""
    if spec.target and spec.changes:
        yield spec.without_variants()
    for name in dict.fromkeys(spec.variant_names):
        yield spec.as_variant(name)


def _bytes_needed(spec: EditSpec, base: Path, known: KnownModel | None) -> int:
    """About how much memory the regions of a spec need."""
    from grainspec.clip.crop import frame_crop, frame_numbers
    from grainspec.clip.facts import probe

    video = spec.video
    try:
        needed = video.frames.last if video.frames else None
        facts = probe(base / video.path, needed=needed, fps=video.fps)
        crop = frame_crop(video, facts, known.backbone.native if known else None)
        frames = frame_numbers(video, facts)
    except GrainError:  # which `check_files` reports
        return 0
    most = max((len(variant.claims) for variant in _variants(spec)), default=0)
    return len(frames) * crop.width * crop.height * (most + 4)


def outlined_model(spec: EditSpec, base: Path) -> KnownModel | None:
    """What a model's configuration says, without its tokenizer; None if it is not at hand."""
    for entry in entry_points(group="grainspec.models"):
        outline: Callable[[EditSpec, Path], KnownModel | None] = entry.load()
        return outline(spec, base)
    return None
