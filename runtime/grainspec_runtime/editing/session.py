"""A clip and a model: the clip is read and encoded once, for any number of edits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from grainspec.checks.method import TRAITS
from grainspec.checks.smoothing import smoothing_of
from grainspec.checks.sound import sound_lost
from grainspec.diagnostics import Diagnostic, fail
from grainspec.model.demo_models import demo_model
from grainspec.model.settings.method import EditingName
from grainspec.model.spec import Flow
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.cache.inversions import Trajectories
from grainspec_runtime.cache.limit import cache_limit
from grainspec_runtime.cache.store import using
from grainspec_runtime.conditioning.pictures import control_pictures
from grainspec_runtime.demo.checks import strange_clip
from grainspec_runtime.editing import resume
from grainspec_runtime.editing.divided import check_divided
from grainspec_runtime.editing.options import RunOptions
from grainspec_runtime.editing.stages import StageProgress, Stages
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.estimate import estimate_flow
from grainspec_runtime.media.decode import Frames, decode_frames
from grainspec_runtime.media.sound import Sound, SoundLost, sound_of
from grainspec_runtime.media.times import FrameTimes, clip_times
from grainspec_runtime.memory.out_of_memory import out_of_memory
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.part import Division
from grainspec_runtime.passes import divided_windows
from grainspec_runtime.prepare import Prepared
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.frames import decoded, encoded
from grainspec_runtime.processes.process import Process
from grainspec_runtime.processes.registry import EDITING
from grainspec_runtime.processes.with_inversion import WithInversion
from grainspec_runtime.ranks import ALONE, Ranks, WindowDivision

_SHARED = ("video", "model", "controls")


class ClipSession:
    """One clip and one model: a context manager that owns what edits of the clip share.

    Inside the block, :func:`grainspec_runtime.editing.edit.edit` makes any number of edits of the
    clip of ``first``. Entering the block loads the model, reads and encodes the clip, and computes
    the control images. When it ends, the control networks are freed, and the state of unfinished
    runs is deleted; after an error that stays in the cache, so that the same run can resume.

    frames: uint8 ``[F, H, W, 3]``. latents: ``[F, c, h, w]``. pictures: the control images, each
    like ``frames``. times, sound: when the frames are shown, and what is heard with them. ranks:
    the processes that share the clip. They make the same edits in the same order, and the first one
    writes to the cache.
    """

    checkpoint: Checkpoint
    frames: Frames
    times: FrameTimes
    sound: Sound | None
    latents: torch.Tensor
    pictures: tuple[Frames, ...]
    ranks: Ranks

    def __init__(
        self,
        load: Callable[[], Checkpoint],
        first: Prepared,
        *,
        options: RunOptions,
        loading: LoadOptions,
        progress: StageProgress = lambda stage, done, total: None,
        warned: Callable[[Diagnostic], None] = lambda finding: None,
    ) -> None:
        self.options = options
        self.loading = loading
        self._explainer = _Explainer(first, loading)
        self.stages = Stages(progress, self._explainer.explain)
        self.recorded_options = loading.recorded()
        self.ranks = ALONE
        if loading.parallel:
            divides = first.model.family.divides == "windows"
            self.ranks = Ranks.of_group(divides_windows=divides)
        self._load = load
        self._warned = warned
        self._first = first
        self._open = False
        self._keeps_states = False
        self._held = ExitStack()
        self._unfinished: list[resume.UnfinishedRun] = []
        self._motions: dict[Flow, ClipFlow] = {}
        self._processes: dict[EditingName, Process] = {}
        self._handed_on: Trajectories | None = None
        self._findings: list[Diagnostic] = []

    def __enter__(self) -> Self:
        if self._explainer.checkpoint is not None:
            raise RuntimeError("a session is entered once: open a new one for another `with`")
        if self.options.use_cache:
            cache_limit()  # an invalid limit is reported now
        with self.stages.stage("load model"):
            self.checkpoint = self._explainer.checkpoint = self._load()
        for finding in self.checkpoint.findings:
            self.warn(finding)
        self._read_clip()
        self._prepare_denoiser()
        self._open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._open = False
        if kind is None and not self._keeps_states and self.ranks.is_first:
            for state in self._unfinished:
                state.drop()
        self._processes.clear()
        self.__dict__.pop("_denoiser", None)  # control networks: the next session loads its own
        self._held.close()

    def require_open(self) -> None:
        """Raise RuntimeError outside the session's block."""
        if not self._open:
            message = "the session is not open: edit inside `with editor.session(…) as session:`"
            raise RuntimeError(message)

    def begin(self, prepared: Prepared) -> None:
        """Begin an edit, of which errors of the stages that follow speak; raises as :meth:`check`.

        Raises RuntimeError outside the session's block.
        """
        self.require_open()
        self.check(prepared)
        self._explainer.edit = prepared

    def check(self, prepared: Prepared) -> None:
        """Raise ValueError if an edit has another clip, model or controls than this session.

        Raises GrainError: G547 if its edited regions differ and `control inpaint` masks them, G571
        if attention shall be recorded, and a study cannot record that of its method; G748, G749 or
        G753 if processes shall share the clip, and cannot (:func:`.check_divided`).
        """
        if prepared.base.resolve() != self._first.base.resolve():
            raise ValueError("all edits of a session must have the same base folder")
        for name in _SHARED:
            if getattr(prepared.spec, name) != getattr(self._first.spec, name):
                raise ValueError(f"all edits of a session must have the same {name}")
        if self.loading.parallel:
            check_divided([prepared], self.ranks.count, self.loading.parallel)
        method = prepared.spec.method
        if self.options.study and method and (why := TRAITS[method.name].unstudied):
            message = f"a study cannot record the attention of `method {method.name}`: {why}"
            raise fail("G571", message, "Run it without `--study`.", method.span)
        masked = [it for it in prepared.spec.controls if it.kind == "inpaint" and it.clip is None]
        if masked and not _edit_the_same(self._first, prepared):
            variant = f"the variant `{prepared.variant}`" if prepared.variant else "an edit"
            message = f"{variant} has other edited regions than the one before, "
            message += "and `control inpaint` masks those"
            cure = "Run each variant by itself, with `--variant`."
            raise fail("G547", message, cure, masked[0].span)

    def division(self, prepared: Prepared) -> Division | WindowDivision | None:
        """Return how processes share an edit of the clip; None if there is one process."""
        if self.ranks.divides_windows:
            return self.ranks.division_of(divided_windows(prepared) or 1)
        return self.checkpoint.division

    def warn(self, finding: Diagnostic) -> None:
        """Add a warning to the next result, and tell it now: that result may be minutes away."""
        self._findings.append(finding)
        self._warned(finding)

    def take_findings(self) -> tuple[Diagnostic, ...]:
        """Return the warnings since the last call."""
        findings, self._findings = tuple(self._findings), []
        return findings

    def keep_unfinished(self, state: resume.UnfinishedRun) -> None:
        """Keep the state of an unfinished run until the session ends."""
        self._unfinished.append(state)
        self.hold(using(resume.KIND, state.key))

    def leave_unfinished(self) -> None:
        """Keep the states of runs when the session ends: who saves a result deletes its state.

        :func:`grainspec_runtime.editing.resume.drop_run` does, with the result's ``run_key``.
        """
        self._keeps_states = True

    def hand_on(self, trajectories: Trajectories) -> None:
        """Use these trajectories of other processes, and add new ones; before the first edit."""
        self._handed_on = trajectories

    def hold(self, holding: AbstractContextManager[None]) -> None:
        """Enter a context manager until the session ends, if the cache is used."""
        if self.options.use_cache:
            self._held.enter_context(holding)

    def process(self, name: EditingName) -> Process:
        """Return the process or method of this name, the same for all edits of the clip.

        Raises RuntimeError outside the session's block.
        """
        self.require_open()
        if name not in self._processes:
            process = EDITING[name](
                self._denoiser,
                self.latents,
                self.loading.additions(),
                use_cache=self.options.use_cache and self.ranks.is_first,
                look_up=self.options.look_up,
            )
            if isinstance(process, WithInversion):
                process.inversions.handed_on = self._handed_on
            self._processes[name] = process
        return self._processes[name]

    def motion(self, flow: Flow) -> ClipFlow:
        """Estimate the clip's optical flow with the method of ``flow``; cached for later calls."""
        method = flow.replaced({}, levels="all")
        if method not in self._motions:
            weights = self._first.base / flow.weights if flow.weights else None
            with self.stages.stage("flow") as progress:
                self._motions[method] = estimate_flow(
                    self.frames,
                    flow.method,
                    weights=weights,
                    device=str(self.checkpoint.device),
                    progress=progress,
                )
        return self._motions[method]

    def _read_clip(self) -> None:
        first = self._first
        with self.stages.stage("read clip"):
            path = first.base / first.spec.video.path
            self.frames = decode_frames(path, first.plan.frames, first.bound.crop)
            self._read_times(path)
            self.latents = encoded(self.checkpoint, self.frames, self.ranks)
            self.checkpoint.begin_clip(self.frames)
            if demo := demo_model(first.spec.model):
                round_trip = decoded(self.checkpoint, self.latents, self.ranks)
                span = first.spec.video.span_of("path")
                for finding in strange_clip(self.frames, round_trip, span, demo):
                    self.warn(finding)

    def _read_times(self, path: Path) -> None:
        video, frames = self._first.spec.video, self._first.plan.frames
        fps = self._first.bound.facts.fps
        self.times, self.sound = clip_times(path, frames, step=video.step, fps=fps), None
        if video.step == 1:
            start = self.times.offset
            try:
                self.sound = sound_of(path, start, start + self.times.end)
            except SoundLost as lost:
                self.warn(sound_lost(video.path, str(lost), video.span_of("path")))

    def _prepare_denoiser(self) -> None:
        first, controls = self._first, None
        self.pictures = ()
        if first.spec.controls:
            with self.stages.stage("control"):
                self.pictures = tuple(
                    control_pictures(
                        control,
                        self.frames,
                        base=first.base,
                        clip=first.base / first.spec.video.path,
                        model=first.spec.model,
                        frames=first.plan.frames,
                        crop=first.bound.crop,
                        facts=first.bound.facts,
                        device=self.checkpoint.device,
                        edited_FHW=first.bound.edits.bits_FHW != 0,
                    )
                    for control in first.spec.controls
                )
                controls = self.checkpoint.load_controls(
                    first.spec.controls, self.pictures, first.base
                )
        self._denoiser = Denoiser(self.checkpoint, controls, ranks=self.ranks)


@dataclass
class _Explainer:
    """Explains errors of a session's stages; knows no session, so that none is part of a cycle."""

    edit: Prepared
    """The edit that is made, or else the first one."""
    loading: LoadOptions
    checkpoint: Checkpoint | None = None
    """None until it is loaded."""

    def explain(self, stage: str, error: BaseException) -> BaseException:
        """Return the error to raise if a stage runs out of memory."""
        return out_of_memory(
            stage,
            self.edit.plan,
            self.checkpoint,
            error,
            loading=self.loading,
            inject=self.edit.spec.inject,
            context=self.edit.spec.effective_context,
            smooths=smoothing_of(self.edit.spec, self.edit.process) is not None,
        )


def _edit_the_same(one: Prepared, other: Prepared) -> bool:
    first, second = (prepared.bound.edits.bits_FHW != 0 for prepared in (one, other))
    return np.array_equal(first, second)
