"""Warnings about a plan: regions that vanish or change too fast, and when modulation ends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from grainspec.diagnostics import Diagnostic
from grainspec.model.demo_models import demo_profile
from grainspec.model.nodes import given
from grainspec.model.numbers import decimal_text, first_steps, percent_text
from grainspec.model.partial import Attention
from grainspec.model.settings.method import EditingName
from grainspec.model.settings.profiles import TUNED_ON_MOTION
from grainspec.model.settings.sampler import Sampler
from grainspec.model.shapes import TokenRule
from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan, class_counts
from grainspec.plan.tokens import POINTS, point_bits
from grainspec.regions.layout import Layout

_MISSED = 0.25
"""The share of a region's latent tokens that may be on other frames of a latent frame only."""

_AWAY = 0.1
"""How far the noise level at which modulation ends may be from that of evenly spaced ones."""


def unordered(spec: EditSpec, plan: MaskPlan, backbone: Backbone) -> list[Diagnostic]:
    """Warn (G555) about key frames of windows where motion modules need frames in order."""
    context = spec.effective_context
    if not backbone.motion_modules or context is None or not context.keys:
        return []
    if len(plan.frames) <= context.frames:  # one window
        return []
    message = (
        f"`keys {context.keys}` puts frames from elsewhere in the clip into every window, and the "
        f"motion modules of {backbone.name} take them for the next ones"
    )
    cure = "Write `keys 0` in `context`."
    return [Diagnostic("G555", message, cure, context.span_of("keys") or context.span)]


def unread_negative(spec: EditSpec, plan: MaskPlan) -> Iterator[Diagnostic]:
    """Warn (G588) about a negative prompt that the denoiser does not read, under guidance."""
    is_read = plan.attention.unconditional == "negative_prompt" or spec.sampler.guidance == 1
    if is_read or not spec.negative.strip():
        return
    readers = "only the ControlNets read" if spec.controls else "nothing reads"
    chosen = "`unconditional empty_prompt`"
    if spec.attention.unconditional is None:
        chosen = f"the profile `{spec.attention.profile}`"
    message = f"with {chosen}, {readers} the negative prompt"
    cure = (
        "Write `unconditional negative_prompt` in `attention` for its usual effect, or remove it."
    )
    yield Diagnostic("G588", message, cure, spec.span_of("negative"))


def vanishing(spec: EditSpec, layout: Layout, plan: MaskPlan) -> list[Diagnostic]:
    """Warn (G401) about regions that have no latent token at some level."""
    findings = []
    in_frame = [
        int(np.bitwise_or.reduce(layout.bits_FHW[list(group)], axis=None)) for group in plan.groups
    ]
    tokens_FE = {  # latent tokens of every edit on every frame, at the modulated levels
        level.index: class_counts(level.labels_FHW, len(plan.members_CE)) @ plan.members_CE
        for level in plan.levels
        if level.modulated
    }
    for index, edit in enumerate(spec.claims):
        present = [frame for frame, bits in enumerate(in_frame) if bits >> index & 1]
        lost = [level for level, count in tokens_FE.items() if not count[present, index].any()]
        if lost:
            named = ", ".join(map(str, lost))
            message = f"`{edit.region}` is too small for level{'s' * (len(lost) > 1)} {named}"
            rows, columns = plan.levels[lost[0]].labels_FHW.shape[1:]
            cure = (
                f"No latent token of its {columns}x{rows} grid is in the region. "
                f"{_with_resize(spec.attention, 'any')} keeps small regions."
            )
            findings.append(Diagnostic("G401", message, cure, edit.span_of("region")))
    return findings


def changing(spec: EditSpec, layout: Layout, plan: MaskPlan) -> Iterator[Diagnostic]:
    """Warn (G418) about regions that change within latent frames of several frames.

    The rules `nearest` and `corner` look at one of the frames. A region is warned about if more
    than a quarter of the latent tokens that it has on some frame of a latent frame are not among
    those. Not where neither the rule nor the profile is the spec's choice, and the model's default
    profile is one of :data:`~grainspec.model.settings.profiles.TUNED_ON_MOTION`.
    """
    chosen = {"resize", "profile"} & given(spec.attention).keys()
    if not chosen and demo_profile(spec.model) in TUNED_ON_MOTION:
        return
    groups = [group for group in plan.groups if len(group) > 1]
    levels = [level for level in plan.levels if level.modulated]
    rule = plan.attention.resize
    if rule not in POINTS or not groups or not levels:
        return
    finest, grid = (
        (level.labels_FHW.shape[1], level.labels_FHW.shape[2])
        for level in (plan.levels[0], levels[0])
    )
    worst: dict[int, tuple[float, int, int, range]] = {}
    for group in groups:
        bits = point_bits(layout.bits_FHW[group.start : group.stop], grid, finest, rule)
        some, looked_at = np.bitwise_or.reduce(bits, axis=0), bits[len(group) // 2]
        for index in range(len(spec.claims)):
            one = bits.dtype.type(1) << bits.dtype.type(index)
            all_ = int(np.count_nonzero(some & one))
            missed = all_ - int(np.count_nonzero(looked_at & one))
            share = missed / max(all_, 1)
            if share > max(_MISSED, worst.get(index, (0.0,))[0]):
                worst[index] = share, missed, all_, group
    for index, (_, missed, all_, group) in sorted(worst.items()):
        claim = spec.claims[index]
        frames = [plan.frames[frame] for frame in group]
        message = (
            f"`{claim.region}` changes within a latent frame: of its {all_} latent tokens on the "
            f"frames {frames[0]} to {frames[-1]}, {missed} are left out"
        )
        cure = (
            f"`resize {rule}` looks at frame {frames[len(group) // 2]} only. "
            f"{_with_resize(spec.attention, 'any')} takes the tokens of all of them, "
            "`resize area` those that the region fills by half."
        )
        spans = spec.attention.spans
        where = spans.get("resize") or spans.get("profile") or claim.span_of("region")
        yield Diagnostic("G418", message, cure, where)


def _with_resize(attention: Attention, rule: TokenRule) -> str:
    """Name a rule as it can be pasted: by itself, or as the statement that then is whole."""
    written = given(attention).keys()
    if written <= {"profile"}:
        head = f" {attention.profile}" if written else ""
        return f"`attention{head} {{ resize {rule} }}`"
    place = "in place of it" if "resize" in written else "in the braces of `attention`"
    return f"`resize {rule}`, {place},"


def early_end(spec: EditSpec, plan: MaskPlan, backbone: Backbone) -> Iterator[Diagnostic]:
    """Warn (G417) about a share `until` that ends at another noise level than it seems to.

    Only of flow-matching models, whose steps are unevenly spaced in σ, and only if the spec gives
    `until` and no `until_timestep`, and `until` is what ends modulation.
    """
    attention = spec.attention
    if spec.method and not spec.method.follows_plan:
        return
    if backbone.noise != "flow" or not attention.until or attention.until == 1:
        return
    if attention.until_timestep is not None:
        return
    times = _timesteps(spec, backbone)
    count = first_steps(attention.until, len(times))
    if not 0 < count < len(times) or times[count] < plan.attention.until_timestep:
        return
    sigmas = [time / backbone.training_steps for time in times]
    even = sigmas[0] * (1 - count / len(times))
    if abs(sigmas[count] - even) <= _AWAY:
        return
    message = (
        f"`until {percent_text(attention.until)}` modulates the noise levels σ {sigmas[0]:.2f} to "
        f"{sigmas[count - 1]:.2f}: the first {count} of {len(times)} steps"
    )
    near, wide = (int(level * backbone.training_steps) for level in (sigmas[count - 1], even))
    cure = (
        f"Name the noise level: `until 100%  until_timestep {wide}` modulates down to σ "
        f"{even:.2f}, `until 100%  until_timestep {near}` as many steps as now."
    )
    yield Diagnostic("G417", message, cure, attention.span_of("until"))


_LASTING = 0.6
"""A proposed `until_timestep`, as a share of the first step's timestep."""


def no_step(spec: EditSpec, plan: MaskPlan, backbone: Backbone) -> Iterator[Diagnostic]:
    """Warn (G421) if `until_timestep` is above the timesteps of all steps that are run.

    Modulation that is off on purpose, by `until 0%` or strengths of 0, is not warned about.
    """
    modulation, sampler = plan.attention, spec.sampler
    times = _timesteps(spec, backbone)
    off = not (modulation.cross or modulation.self_ or modulation.columns)
    off = off or (spec.method is not None and not spec.method.follows_plan)
    if off or not modulation.until or not times or times[0] >= modulation.until_timestep:
        return
    end, first = decimal_text(modulation.until_timestep), f"timestep {times[0]:.4g}"
    if backbone.noise == "flow":
        first += f" (σ {times[0] / backbone.training_steps:.2f})"
    message = f"no step is modulated: the first has {first}, below `until_timestep {end}`"
    cure = f"Write `until_timestep {int(_LASTING * times[0])}` in `attention`"
    skips = _lower_skip(spec, backbone, modulation.until_timestep)
    cure += f", or `skip {percent_text(skips[0])}` in `sampler`." if skips else "."
    written = sampler.spans.get("skip") if skips else None
    span = spec.attention.spans.get("until_timestep") or written or spec.attention.span
    yield Diagnostic("G421", message, cure, span or sampler.span)


def _lower_skip(spec: EditSpec, backbone: Backbone, until_timestep: float) -> list[float]:
    """The default of `skip` and 0, if lower than the sampler's and if a step is modulated then."""
    if _process(spec, backbone) != "flow_edit":
        return []
    sampler = spec.sampler
    shares = (Sampler.model_fields["skip"].default, 0.0)
    lower = [sampler.replaced({}, skip=share) for share in shares if share < sampler.skip]
    specs = [spec.replaced({}, sampler=one) for one in lower]
    return [one.sampler.skip for one in specs if _timesteps(one, backbone)[:1] >= [until_timestep]]


def _timesteps(spec: EditSpec, backbone: Backbone) -> list[float]:
    """The timesteps of the steps that are run."""
    return backbone.timesteps_taken(spec.sampler, _process(spec, backbone))


def _process(spec: EditSpec, backbone: Backbone) -> EditingName:
    """What edits: a method, or a process. FlowEdit is the default of flow-matching models."""
    if spec.method:
        return spec.method.name
    if backbone.noise != "flow":
        return "invert_and_sample"
    return spec.sampler.process or "flow_edit"
