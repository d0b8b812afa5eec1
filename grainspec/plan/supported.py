"""Refuse what a backbone does not support: sizes, numbers of frames, levels, layers, steps."""

from __future__ import annotations

from collections.abc import Sequence

from grainspec.diagnostics import fail
from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.windows import frame_windows


def check_steps(spec: EditSpec, backbone: Backbone) -> None:
    """Raise GrainError (G203) for more sampling steps than the model was trained with."""
    if spec.sampler.steps >= backbone.training_steps:
        most = backbone.training_steps - 1
        message = (
            f"invalid value `{spec.sampler.steps}` for `steps`: "
            f"the model was trained with {backbone.training_steps} timesteps"
        )
        cure = f"Use at most `steps {most}`; 50 is usual."
        raise fail("G203", message, cure, spec.sampler.span_of("steps"))


def check_size(spec: EditSpec, backbone: Backbone, width: int, height: int) -> None:
    """Raise GrainError (G314) for sides that are no multiples of a latent token's."""
    unit = backbone.size_multiple
    if width % unit or height % unit:
        near = f"{max(1, round(width / unit)) * unit}x{max(1, round(height / unit)) * unit}"
        message = f"{backbone.name} does not support frames of {width}x{height} pixels"
        cure = f"Width and height must be multiples of {unit}, for example `size {near}`."
        raise fail("G314", message, cure, spec.video.span_of("size"))


def check_count(spec: EditSpec, backbone: Backbone, frames: Sequence[int]) -> None:
    """Raise GrainError (G314) for source frames that do not fill latent frames."""
    first, per, count = backbone.first_frames, backbone.frames_per_latent, len(frames)
    if count >= first and (count - first) % per == 0:
        return
    less = first + max(0, count - first) // per * per
    message = f"{backbone.name} does not support clips of {count} frame{'s' * (count > 1)}"
    cure = f"Use {less} or {less + per} frames"
    if less <= count:
        cure += f", for example `frames {frames[0]}..{frames[less - 1]}`"
    cure += f": a clip is {_clip_lengths(first, per)}."
    raise fail("G314", message, cure, spec.video.span_of("frames"))


def check_places(spec: EditSpec, backbone: Backbone, width: int, height: int, count: int) -> None:
    """Raise GrainError (G314) for more latent frames, rows or columns than have an embedding.

    ``count`` are the latent frames of the clip, of which `context` has fewer processed at once.
    """
    unit, most = backbone.size_multiple, backbone.most_places
    if most is not None and max(width, height) > most * unit:
        message = f"{backbone.name} does not support frames of {width}x{height} pixels"
        share = most * unit / max(width, height)
        sides = (max(1, int(side * share) // unit) * unit for side in (width, height))
        near = "x".join(map(str, sides))
        cure = f"Each side may have up to {most * unit} pixels, for example `size {near}`."
        raise fail("G314", message, cure, spec.video.span_of("size"))
    most = min(filter(None, (most, backbone.most_frames)), default=None)
    if most is None:
        return
    first, per = backbone.first_frames, backbone.frames_per_latent
    windows = frame_windows(count, spec.effective_context, per, first)
    if max(len(window.frames) for window in windows) > most:
        frames = first + (most - 1) * per
        at_once = "windows" if len(windows) > 1 else "clips"
        message = f"{backbone.name} does not support {at_once} of more than {frames} frames"
        windowed = f"frames {min(frames, 81)}"
        if backbone.motion_modules:  # no key frames: see G555
            windowed += f"  overlap {frames // 4}  keys 0"
        cure, place = (
            f"Use fewer with `frames`, or windows: `context {{ {windowed} }}`.",
            None,
        )
        if spec.context:
            cure = f"Write `frames` up to {frames} in `context`, key frames included."
            place = spec.context.span_of("frames")
        raise fail("G314", message, cure, place or spec.video.span_of("frames"))


def _clip_lengths(first: int, per: int) -> str:
    if first == per:
        return f"a multiple of {per} frames"
    return f"{'one frame' if first == 1 else f'{first} frames'} plus a multiple of {per}"


def chosen_levels(spec: EditSpec, backbone: Backbone) -> frozenset[int]:
    """The levels that are modulated; raises GrainError (G404) for those without attention.

    Levels that only the profile names are those of Stable Diffusion: of other models, those that
    have attention are modulated, or all levels with attention if none of them has.
    """
    chosen, attended = spec.modulation.levels, backbone.attended_levels
    if chosen == "all":
        return frozenset(attended)
    if spec.attention.levels is None:
        return frozenset(chosen).intersection(attended) or frozenset(attended)
    for level in chosen:
        if level in attended:
            continue
        if level < backbone.level_count:
            message = f"level {level} of {backbone.name} has no attention"
            cure = f"Write {_levels_text(backbone)}."
        else:
            message = f"{backbone.name} has no level {level}"
            cure = f"Its levels are 0 (the finest) to {backbone.level_count - 1}."
        raise fail("G404", message, cure, spec.attention.span_of("levels"))
    return frozenset(chosen)


def check_layers(spec: EditSpec, backbone: Backbone) -> None:
    """Raise GrainError (G404) for layers that a transformer lacks; UNets have levels instead.

    ``columns`` is refused for UNets too.
    """
    layers, columns = spec.modulation.layers, spec.modulation.columns
    count, attention = backbone.layer_count, spec.attention
    if count is None and layers != "all":
        message = f"`layers` is for transformers, and {backbone.name} is a UNet"
        cure = f"Choose among its levels: {_levels_text(backbone)}."
        raise fail("G404", message, cure, attention.span_of("layers"))
    if count is None and columns > 0:
        message = f"`columns` is for video transformers, and {backbone.name} is a UNet"
        cure, place = "Leave `columns` out.", "columns"
        if attention.columns is None:
            cure = f"Choose another profile than `{attention.profile}`, or write `columns 0`."
            place = "profile"
        raise fail("G404", message, cure, attention.span_of(place))
    if count is not None and layers != "all":
        for layer in layers:
            if layer >= count:
                message = f"{backbone.name} has no layer {layer}"
                cure = (
                    f"Its layers are 0 (the first) to {count - 1}. Write `layers 0..{count - 1}`."
                )
                raise fail("G404", message, cure, attention.span_of("layers"))


def _levels_text(backbone: Backbone) -> str:
    return f"`levels {' '.join(map(str, backbone.attended_levels))}` or `levels all`"
