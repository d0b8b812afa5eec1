"""The editor: load a backbone once, run specs on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import diffusers
import torch
from torch import Tensor

from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.model.spec import DEMO, EditSpec, Flow
from grainspec.plan.windows import FrameWindow, plan_of_frames
from grainspec_runtime.backbones.additions import Embedding, Lora, digest
from grainspec_runtime.backbones.load import Checkpoint, Offload, load_checkpoint
from grainspec_runtime.backbones.norms import norm_scope
from grainspec_runtime.backbones.prompts import encode_target
from grainspec_runtime.backbones.unet import AttentionControl
from grainspec_runtime.backbones.windowed import ClipControl, clip_control
from grainspec_runtime.cache import inversions as cache
from grainspec_runtime.cache import resume
from grainspec_runtime.cache.limit import cache_limit
from grainspec_runtime.cache.store import using
from grainspec_runtime.conditioning.nets import Controls, load_controls
from grainspec_runtime.conditioning.pictures import control_pictures
from grainspec_runtime.demo.checks import strange_clip
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.estimate import estimate_flow
from grainspec_runtime.flow.guide import guiding_paths
from grainspec_runtime.injection.inject import injecting
from grainspec_runtime.media.decode import Frames, decode_frames
from grainspec_runtime.media.latents import decode_clip, encode_clip
from grainspec_runtime.memory import is_out_of_memory, out_of_memory
from grainspec_runtime.prepare import Prepared, prepare
from grainspec_runtime.sampling.blend import blended, faded
from grainspec_runtime.sampling.denoiser import Denoiser
from grainspec_runtime.sampling.inversions import Inversions, scheduler_of, unmodulated
from grainspec_runtime.sampling.reconstruct import Reconstruction, reconstruct
from grainspec_runtime.sampling.sample import sample
from grainspec_runtime.study.record import StudiedControl, Study, study_of

Progress = Callable[[str, int, int], None]
"""Called with the name of a stage, its finished steps and all its steps."""

_OPTIONS = ("offload", "vae_slicing", "vae_tiling", "compile")

_SAMPLING_VERSION = 1
"""The same for :func:`sample`, so that a run is never continued by another version."""


@dataclass(frozen=True)
class EditResult:
    """An edited clip.

    source, edited: uint8 ``[F, H, W, 3]`` RGB, the clip as the model saw it and after the edit.
    controls: the control pictures, of the same shape, in the spec's order. seconds: wall time by
    stage. warnings: everything doubtful, found before and during the run.
    run_key: a hash of all that the result depends on. resumed_at: the sampling steps that an
    earlier, interrupted run had done. was_finished: that run had written its folder, too. study:
    what was recorded of attention, if that was asked for.
    """

    prepared: Prepared
    source: Frames
    edited: Frames
    fps: float
    seconds: dict[str, float]
    inversion_cached: bool
    warnings: tuple[Diagnostic, ...]
    device: str
    dtype: str
    model_folder: str
    run_key: str
    options: dict[str, object]
    """How the model was loaded, where that is not by default."""
    controls: tuple[Frames, ...] = ()
    reconstruction: Reconstruction | None = None
    resumed_at: int = 0
    was_finished: bool = False
    study: Study | None = None


@dataclass
class Editor:
    """Runs specs on one model.

    ``model`` is as in a spec: ``demo``, a folder in diffusers' format, or a hub id. It is loaded
    when the first spec has passed all its checks. ``device`` and ``dtype`` default to the best of
    the machine; ``backend`` is that of :func:`grainspec_runtime.modulated_attention`. ``offload``,
    ``vae_slicing``, ``vae_tiling`` and ``compile`` are those of
    :func:`grainspec_runtime.backbones.load.load_checkpoint`: less memory, or more speed; so are
    ``loras`` and ``embeddings`` (textual inversions, whose words prompts may then have). Specs that
    are prepared elsewhere must have been prepared with the same ``embeddings``.

    Inversions are kept in a cache, and while a run lasts, so is where it stands: one that was
    interrupted continues there when the same is run again, to the same result. ``fresh`` looks
    nothing up there; without ``use_cache`` nothing is kept either. With ``study`` attention is
    recorded, which takes longer, and changes nothing; such a run samples from its first step.

        editor = Editor()
        result = editor.run(grainspec.load("examples/instance.grain"), base=Path("examples"))
        result.edited.shape      # (8, 96, 96, 3)
    """

    model: str = DEMO
    device: str | None = None
    dtype: torch.dtype | None = None
    backend: str = "auto"
    use_cache: bool = True
    fresh: bool = False
    reconstruct: bool = False
    """Also sample every clip back without an edit, to see how true its inversion is."""
    offload: Offload | None = None
    vae_slicing: bool = False
    vae_tiling: bool = False
    compile: bool = False
    loras: Sequence[Lora] = ()
    embeddings: Sequence[Embedding] = ()
    study: bool = False
    control_type: ClassVar[type[AttentionControl]] = AttentionControl
    """What attends; a subclass may put another in its place."""
    _checkpoint: Checkpoint | None = field(default=None, repr=False)
    _place: str = field(default="", repr=False)

    def run(
        self,
        spec: EditSpec,
        *,
        base: Path | None = None,
        progress: Progress = lambda stage, done, total: None,
    ) -> EditResult:
        """Edit a spec's clip. Relative paths in the spec start at ``base`` (here by default).

        Of a spec with variants this is the edit outside them; ``spec.as_variant("pig")`` is
        another's. Raises GrainError for whatever is wrong with the spec, its files or the model,
        all of it before the model is loaded where that is possible.
        """
        spec = spec.without_variants()
        if spec.model != self.model:
            message = f"the spec is for the model {spec.model}, this editor runs {self.model}"
            raise fail("G404", message, f"Use `Editor({spec.model!r})`.", spec.span_of("model"))
        return self.run_prepared(
            prepare(spec, base or Path(), embeddings=self.embeddings), progress=progress
        )

    def checkpoint(self, base: Path) -> Checkpoint:
        """The model, loaded on first use; a relative folder starts at ``base``."""
        folder = base / self.model
        place = str(folder.resolve()) if folder.is_dir() else self.model
        if self._checkpoint is None or self._place != place:
            self._place = place
            self._checkpoint = load_checkpoint(
                self.model,
                base,
                device=self.device,
                dtype=self.dtype,
                offload=self.offload,
                vae_slicing=self.vae_slicing,
                vae_tiling=self.vae_tiling,
                compile=self.compile,
                loras=self.loras,
                embeddings=self.embeddings,
            )
        return self._checkpoint

    def _out_of_memory(self, stage: str, one: Prepared, error: BaseException) -> GrainError:
        return out_of_memory(
            stage,
            one.plan,
            self._checkpoint if stage != "load model" else None,
            error,
            offload=self.offload,
            vae_slicing=self.vae_slicing,
            vae_tiling=self.vae_tiling,
            inject=one.spec.inject,
            context=one.spec.context,
        )

    def _options(self, additions: dict[str, Any]) -> dict[str, object]:
        named = {name: getattr(self, name) for name in _OPTIONS} | additions
        return {name: value for name, value in named.items() if value}

    def run_prepared(
        self, prepared: Prepared, *, progress: Progress = lambda stage, done, total: None
    ) -> EditResult:
        """Edit a clip whose spec has been checked and compiled already."""
        [result] = self.run_all([prepared], progress=progress)
        return result

    def run_all(
        self,
        prepared: Sequence[Prepared],
        *,
        progress: Progress = lambda stage, done, total: None,
        finished: Callable[[Prepared, str], Frames | None] = lambda prepared, run_key: None,
    ) -> Iterator[EditResult]:
        """Edit one clip in several ways, one result after the other.

        The clip is read once, and inverted once for all that want the same inversion. Once all
        results were taken, what was kept to continue from is dropped. ``finished`` may know the
        frames of a run that an interrupted one had finished, by its key; they are not made again.
        Raises ValueError unless all are of one clip, model and controls, as the variants of a spec.
        """
        first = prepared[0]
        for name in ("video", "model", "controls"):
            if any(getattr(one.spec, name) != getattr(first.spec, name) for one in prepared):
                raise ValueError(f"all must have the same {name}, as the variants of a spec have")
        if self.study and self.compile:
            raise ValueError("attention is recorded step by step: not with `compile`")
        if self.use_cache:
            cache_limit()  # a wrong one is told now
        seconds: dict[str, float] = {}

        @contextmanager
        def stage(name: str, variant: str | None = None) -> Iterator[Callable[[int, int], None]]:
            start, shown = time.perf_counter(), f"{name} {variant}" if variant else name
            progress(shown, 0, 1)
            try:
                yield lambda done, total: progress(shown, done, total)
            except (RuntimeError, MemoryError) as error:
                if is_out_of_memory(error):
                    raise self._out_of_memory(name, first, error) from error
                raise
            progress(shown, 1, 1)
            seconds[name] = round(time.perf_counter() - start, 3)

        with stage("load model"):
            checkpoint = self.checkpoint(first.base)
        late: list[Diagnostic] = []
        with stage("read clip"):
            path = first.base / first.spec.video.path
            frames = decode_frames(path, first.plan.frames, first.bound.crop)
            latents = encode_clip(checkpoint, frames)
            if first.spec.model == DEMO:
                back = decode_clip(checkpoint, latents)
                late += strange_clip(frames, back, first.spec.video.span_of("path"))
        pictures: list[Frames] = []
        controls: Controls | None = None
        if first.spec.controls:
            with stage("control"):
                pictures = _control_pictures(first, frames, checkpoint)
                controls = load_controls(
                    first.spec.controls,
                    pictures,
                    first.base,
                    first.spec.model,
                    device=checkpoint.device,
                    dtype=checkpoint.dtype,
                )
        denoiser = Denoiser(checkpoint, controls)
        look_up = self.use_cache and not self.fresh
        continues = look_up and not self.study  # which has to see every step
        additions = _additions(self.loras, self.embeddings)
        inversions = Inversions(
            denoiser,
            latents,
            additions,
            use_cache=self.use_cache,
            look_up=look_up,
        )
        motions: dict[Flow, ClipFlow] = {}
        options = self._options(additions)
        with ExitStack() as held:
            states: list[resume.Kept] = []
            for one in prepared:
                spec, plan = one.spec, one.plan
                key = inversions.key(spec)
                state = self._state(one, checkpoint, key, options)
                states.append(state)
                if self.use_cache:
                    held.enter_context(using(cache.KIND, key))
                    held.enter_context(using(resume.KIND, state.key))
                begin = state.load(latents, late.append) if continues else None
                done, cached = begin[0] if begin else 0, True
                edited = reconstruction = study = None
                if done == state.steps and not self.reconstruct:
                    edited = finished(one, state.key)
                was_finished = edited is not None
                if edited is None:
                    if spec.flow and (flow := spec.flow.replaced({}, levels="all")) not in motions:
                        with stage("flow") as report:
                            motions[flow] = _motion(flow, one.base, frames, checkpoint, report)
                    with stage("invert", one.variant) as report:
                        trajectory, cached = inversions.of(one, key, report, late.append)
                    with (
                        stage("sample", one.variant) as report,
                        injecting(
                            denoiser,
                            spec.inject,
                            trajectory,
                            source=spec.source,
                            control=unmodulated(one, checkpoint),
                        ) as sampling,
                    ):
                        motion = motions[flow] if spec.flow else None
                        control = self._control(one, checkpoint, motion)
                        sampled = sample(
                            sampling,
                            trajectory,
                            control,
                            [
                                checkpoint.encode_prompt(spec.negative),
                                encode_target(checkpoint.pipe, plan, device=checkpoint.device),
                            ],
                            scheduler=scheduler_of(checkpoint, spec),
                            guidance=spec.sampler.guidance,
                            edited_F1hw=_latent_weights(one, checkpoint),
                            eta=spec.sampler.eta,
                            seed=spec.sampler.seed,
                            progress=report,
                            begin=begin,
                            keep=state if self.use_cache else lambda done, state: None,
                        )
                    if self.study:
                        with stage("study", one.variant):
                            study = study_of(control, plan)
                    with stage("decode", one.variant):
                        edited = decode_clip(checkpoint, sampled)
                        if spec.blend.space in ("pixels", "both"):
                            regions = one.bound.edits.bits_FHW != 0
                            edited = blended(frames, edited, faded(regions, one.feather))
                    if self.reconstruct:
                        with stage("reconstruct", one.variant) as report:
                            reconstruction = reconstruct(
                                denoiser, one, frames, latents, trajectory, report
                            )
                yield EditResult(
                    prepared=one,
                    source=frames,
                    edited=edited,
                    fps=one.bound.facts.fps / spec.video.step,
                    seconds=seconds,
                    inversion_cached=cached,
                    warnings=(*one.warnings, *late),
                    device=str(checkpoint.device),
                    dtype=str(checkpoint.dtype).removeprefix("torch."),
                    model_folder=str(checkpoint.folder.resolve()),
                    controls=tuple(pictures),
                    reconstruction=reconstruction,
                    options=options,
                    run_key=state.key,
                    resumed_at=done,
                    was_finished=was_finished,
                    study=study,
                )
                seconds, late = {}, []
        for state in states:
            state.drop()

    def _control(
        self, one: Prepared, checkpoint: Checkpoint, motion: ClipFlow | None
    ) -> ClipControl:
        """The attention of an edit: the plan's, and along the paths of the clip's motion."""
        spec = one.spec

        def of_window(window: FrameWindow) -> AttentionControl:
            plan = plan_of_frames(one.plan, window.frames)
            # Sampling alone is guided: the same inversion serves edits without flow, too.
            guided = spec.flow is not None and motion is not None
            settings: dict[str, Any] = {
                "plan": plan,
                "scope": plan.attention.frames,
                "norm": norm_scope(plan.attention.norm, spec.model),
                "backend": self.backend,
                "device": checkpoint.device,
                "paths": guiding_paths(spec.flow, motion, plan, window.frames) if guided else {},
            }
            if self.study:
                return StudiedControl(len(plan.frames), weights=window.weights, **settings)
            return self.control_type(len(plan.frames), **settings)

        return clip_control(one.windows, of_window)

    def _state(
        self, one: Prepared, checkpoint: Checkpoint, inversion: str, options: dict[str, object]
    ) -> resume.Kept:
        """Where to keep how far a run has come."""
        facts = {
            "version": _SAMPLING_VERSION,
            "inversion": inversion,
            "plan": one.plan.digest,
            "spec": one.spec.model_dump(mode="json", by_alias=True),
            "device": checkpoint.device.type,
            "backend": self.backend,
            "options": options,
            "versions": [torch.__version__, diffusers.__version__],
        }
        steps = one.spec.sampler.steps
        return resume.Kept(resume.run_key(facts), steps, one.about)


def _latent_weights(prepared: Prepared, checkpoint: Checkpoint) -> Tensor | None:
    """Where the latents may leave the source's, ``[F, 1, h, w]``; None for everywhere."""
    if prepared.spec.blend.space not in ("latents", "both"):
        return None
    feather = prepared.feather / prepared.backbone.pixels_per_latent
    weights = faded(prepared.plan.edited_FHW, feather)
    return torch.from_numpy(weights).to(checkpoint.device)[:, None]


def _control_pictures(prepared: Prepared, frames: Frames, checkpoint: Checkpoint) -> list[Frames]:
    return [
        control_pictures(
            control,
            frames,
            base=prepared.base,
            model=prepared.spec.model,
            frames=prepared.plan.frames,
            crop=prepared.bound.crop,
            facts=prepared.bound.facts,
            device=checkpoint.device,
        )
        for control in prepared.spec.controls
    ]


def _motion(
    flow: Flow,
    base: Path,
    frames: Frames,
    checkpoint: Checkpoint,
    report: Callable[[int, int], None],
) -> ClipFlow:
    weights = base / flow.weights if flow.weights else None
    device = str(checkpoint.device)
    return estimate_flow(frames, flow.method, weights=weights, device=device, progress=report)


def _additions(loras: Sequence[Lora], embeddings: Sequence[Embedding]) -> dict[str, Any]:
    """What a model is loaded with besides its own weights, told by content."""
    return {
        "loras": [
            {"path": str(lora.path), "scale": lora.scale, "sha256": digest(lora.path)}
            for lora in loras
        ],
        "embeddings": [
            {"path": str(one.path), "word": one.word, "sha256": digest(one.path)}
            for one in embeddings
        ],
    }
