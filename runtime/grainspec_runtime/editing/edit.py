"""Make one edit of a session's clip, from its plan to its frames.

Dimensions: F latent frames, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import diffusers
import torch
from torch import Tensor

from grainspec.checks.method import TRAITS, flow_of
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import FrameWindow, plan_of_frames
from grainspec.prompt_alignment import PromptAlignment, align_prompts
from grainspec_runtime.editing import resume
from grainspec_runtime.editing.result import EditResult, Reconstruction
from grainspec_runtime.editing.session import ClipSession
from grainspec_runtime.flow.guide import guiding_paths
from grainspec_runtime.measures.fidelity import psnr
from grainspec_runtime.media.blend import blended, faded
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.memory.peak import peak_memory
from grainspec_runtime.modulation.layers import Attention, CrossAttentionRule
from grainspec_runtime.modulation.windowed import clip_attention
from grainspec_runtime.prepare import Prepared
from grainspec_runtime.processes.frames import decoded
from grainspec_runtime.processes.process import Job
from grainspec_runtime.study.record import Study, StudyRecorder, study_of

_SAMPLING_VERSION = 1
"""Increase it when the results of sampling change, so that runs of other versions do not resume."""

CrossRule = Callable[[MaskPlan, torch.device], CrossAttentionRule]
"""Makes the cross-attention of another method, which replaces the plan's."""


def edit(
    session: ClipSession,
    prepared: Prepared,
    *,
    finished: Callable[[str], Frames | None] = lambda run_key: None,
    cross_rule: CrossRule | None = None,
) -> EditResult:
    """Edit the session's clip.

    ``finished`` returns the frames of a run, by its key, if an earlier, interrupted command had
    completed it; that run is not repeated. ``cross_rule`` replaces the plan's cross-attention, for
    comparisons with other methods.

    Raises GrainError for failures while running (G505, G506); ValueError if the edit is of another
    clip, model or controls than the session; RuntimeError outside the session's block.
    """
    session.begin(prepared)
    job = _job(session, prepared)
    process, options = session.process(prepared.process), session.options
    state = _state(session, prepared, job, cross_rule)
    session.hold(process.holding(job))
    session.keep_unfinished(state)
    begin = state.load(session.latents, session.warn) if options.resumes else None
    if not session.ranks.agree(begin[0] if begin else 0):
        begin = None
    done = begin[0] if begin else 0
    reused, reconstruction, study = True, None, None
    keeps = options.use_cache and session.ranks.is_first
    edited = finished(state.key) if done == state.steps and not options.reconstruct else None
    if not session.ranks.agree(edited is not None):
        edited = None
    was_finished = edited is not None
    if edited is None:
        attention = _EditAttention(session, prepared, cross_rule)
        sampled = process.run(
            job,
            attention.make,
            stage=session.stages.stage,
            begin=begin,
            keep=state if keeps else lambda done, state: None,
            warn=session.warn,
        )
        reused = sampled.reused
        study = attention.study()
        edited = _decoded(session, prepared, sampled.latents)
        if options.reconstruct:
            reconstruction = _reconstructed(session, prepared, job)
    checkpoint = session.checkpoint
    return EditResult(
        prepared=prepared,
        source=prepared.bound.crop.unpadded(session.frames),
        edited=edited,
        times=session.times,
        sound=session.sound,
        seconds=session.stages.take_seconds(),
        inversion_cached=reused,
        warnings=(*prepared.warnings, *session.take_findings()),
        device=str(checkpoint.device),
        dtype=str(checkpoint.dtype).removeprefix("torch."),
        model_folder=str((checkpoint.file or checkpoint.folder).resolve()),
        controls=tuple(map(prepared.bound.crop.unpadded, session.pictures)),
        reconstruction=reconstruction,
        options=session.recorded_options,
        run_key=state.key,
        resumed_at=done,
        was_finished=was_finished,
        peak_memory_bytes=peak_memory(),
        study=study,
        division=session.division(prepared),
    )


def share(session: ClipSession, prepared: Prepared) -> tuple[str, bool | None]:
    """Compute and cache what other edits of the clip reuse, without making the edit.

    Returns its key, and whether it existed before; None if the edit's process reuses nothing.
    Raises as :func:`edit` does.
    """
    session.begin(prepared)
    job, process = _job(session, prepared), session.process(prepared.process)
    session.hold(process.holding(job))
    return process.key(job), process.share(job, stage=session.stages.stage, warn=session.warn)


def _job(session: ClipSession, prepared: Prepared) -> Job:
    spec, plan, method = prepared.spec, prepared.plan, prepared.spec.method
    flow = flow_of(spec) if method and TRAITS[method.name].needs_flow else None
    if method and not method.modulates and plan.attention.phrases != "in_context":
        in_context = plan.attention.replaced({}, phrases="in_context")
        plan = replace(plan, attention=in_context, _cache={})
    return Job(
        plan=plan,
        source=spec.source,
        negative=spec.negative,
        sampler=spec.sampler,
        windows=prepared.windows,
        inject=spec.inject,
        freeu=spec.freeu,
        method=method,
        alignment=_alignment(prepared),
        motion=session.motion(flow) if flow else None,
        edited_F1hw=_latent_weights(session, prepared),
        blend_from=spec.blend.start,
        backend=session.options.backend,
        about=prepared.about,
        variant=prepared.variant,
    )


def _alignment(prepared: Prepared) -> PromptAlignment | None:
    """Return the alignment of the prompts, by the model's text tokens, for a method."""
    spec, tokenize = prepared.spec, prepared.backbone.tokenize
    if spec.method is None:
        return None
    return align_prompts(spec.source, spec.target, tokenize(spec.source), tokenize(spec.target))


def _latent_weights(session: ClipSession, prepared: Prepared) -> Tensor | None:
    """Return where the latents may differ from the source's, ``[F, 1, h, w]``; None: everywhere."""
    if prepared.blend_space not in ("latents", "both"):
        return None
    feather = prepared.feather / prepared.backbone.pixels_per_latent
    weights = faded(prepared.plan.edited_FHW, feather)
    return torch.from_numpy(weights).to(session.checkpoint.device)[:, None]


def _state(
    session: ClipSession, prepared: Prepared, job: Job, cross_rule: CrossRule | None
) -> resume.UnfinishedRun:
    """Return the store of the run's sampling state."""
    facts: dict[str, Any] = {
        "version": _SAMPLING_VERSION,
        "process": prepared.process,
        "clip": session.process(prepared.process).key(job),
        "plan": prepared.plan.digest,
        "spec": prepared.spec.model_dump(mode="json", by_alias=True),
        "device": session.checkpoint.device.type,
        "backend": session.options.backend,
        "options": session.recorded_options,
        "versions": [torch.__version__, diffusers.__version__],
    }
    if cross_rule is not None:
        facts["cross_rule"] = getattr(cross_rule, "__qualname__", repr(cross_rule))
    about = {**prepared.about, "process": prepared.process}
    return resume.UnfinishedRun(resume.run_key(facts), job.sampler.steps, about)


class _EditAttention:
    """Makes the attention for an edit: the plan's, with motion paths and recorders if asked for.

    Motion paths apply to sampling only, so edits with and without `flow` share an inversion.
    """

    def __init__(
        self, session: ClipSession, prepared: Prepared, cross_rule: CrossRule | None
    ) -> None:
        self._session = session
        self._plan = prepared.plan
        self._modulates = prepared.modulates
        self._windows = prepared.windows
        self._flow = prepared.spec.flow
        self._motion = session.motion(self._flow) if self._flow else None
        self._cross_rule = cross_rule
        self._variant = prepared.variant
        self._recorders: list[StudyRecorder] = []

    def make(self) -> Attention:
        """Make the attention of the whole clip."""
        device = self._session.checkpoint.device
        return clip_attention(self._windows, self._of_window, device=device)

    def study(self) -> Study | None:
        """Return what was recorded; None without recorders."""
        if not self._recorders:
            return None
        with self._session.stages.stage("study", self._variant):
            return study_of(self._recorders, self._windows, self._plan)

    def _of_window(self, window: FrameWindow) -> Attention:
        plan = plan_of_frames(self._plan, window.frames)
        checkpoint, options = self._session.checkpoint, self._session.options
        recorder = None
        if options.study:
            recorder = StudyRecorder(plan, weights=window.weights, device=checkpoint.device)
            self._recorders.append(recorder)
        paths = None
        if self._flow is not None and self._motion is not None:
            paths = guiding_paths(self._flow, self._motion, plan, window.frames)
        rule = self._cross_rule(plan, checkpoint.device) if self._cross_rule else None
        return checkpoint.attention(
            len(plan.groups),
            plan.attention,
            plan=plan if self._modulates else None,
            backend=options.backend,
            paths=paths,
            cross_rule=rule,
            recorder=recorder,
        )


def _decoded(session: ClipSession, prepared: Prepared, latents: Tensor) -> Frames:
    with session.stages.stage("decode", prepared.variant):
        edited = decoded(session.checkpoint, latents, session.ranks)
        if prepared.blend_space in ("pixels", "both"):
            edited = blended(session.frames, edited, prepared.pixel_weights())
    return prepared.bound.crop.unpadded(edited)


def _reconstructed(session: ClipSession, prepared: Prepared, job: Job) -> Reconstruction:
    process = session.process(prepared.process)
    latents = process.reconstruct(job, stage=session.stages.stage, warn=session.warn)
    shown = prepared.bound.crop.unpadded
    frames = shown(session.frames)
    reconstructed = shown(decoded(session.checkpoint, latents, session.ranks))
    round_trip = shown(decoded(session.checkpoint, session.latents, session.ranks))
    return Reconstruction(
        reconstructed, psnr(frames, reconstructed) or 0.0, psnr(frames, round_trip) or 0.0
    )
