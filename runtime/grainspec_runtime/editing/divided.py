"""Whether several GPUs can share an edit, which is known before a model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grainspec.diagnostics import Diagnostic, fail
from grainspec.model.spec import Context
from grainspec.plan.method_windows import hierarchy
from grainspec.plan.windows import frame_windows
from grainspec_runtime.models.options import Parallel
from grainspec_runtime.passes import divided_windows, prediction_passes
from grainspec_runtime.prepare import Prepared


def check_divided(
    prepared: Sequence[Prepared], gpus: int, how: Parallel = "auto"
) -> list[Diagnostic]:
    """Check that GPUs can share every edit of a model's clip; return warnings (G754).

    ``how`` is what is divided. Raises GrainError. Where latent tokens are divided: G749 for a
    method that needs all of them, and G748 for the passes of ``guidance`` without guidance; whether
    a transformer has the heads for ``how``, it checks when it is loaded. Where windows are: G748
    unless ``how`` is ``auto``, and G753 for too few windows, or a method that does more in a step
    than predict for them.
    """
    family = prepared[0].model.family
    if family.divides == "tokens":
        for one in prepared:
            _check_tokens(one)
            if how == "guidance":
                _check_guidance(one)
        return []
    if how != "auto":
        message = f"`--parallel {how}` is for video transformers; with {family.name}, `--gpus` "
        message += "divides windows"
        raise fail("G748", message, "Remove `--parallel`.", prepared[0].spec.span_of("model"))
    return [finding for one in prepared for finding in _check_windows(one, gpus)]


def _check_tokens(prepared: Prepared) -> None:
    method = prepared.spec.method
    if method and method.name == "dfvedit" and method.word_mask and not method.blends:
        message = "the word mask of `method dfvedit` reads the attention of all latent tokens, "
        message += "which `--gpus` divides"
        cure = "Write `word_mask 0%` in `method dfvedit`, or remove `--gpus`."
        raise fail("G749", message, cure, method.span)


def _check_guidance(prepared: Prepared) -> None:
    if prediction_passes(prepared) == 1:
        message = "the edit has no guidance, whose two passes `--parallel guidance` divides"
        span = prepared.spec.sampler.span
        raise fail("G748", message, "Remove `--parallel guidance`.", span)


def _check_windows(prepared: Prepared, gpus: int) -> Iterator[Diagnostic]:
    spec, windows = prepared.spec, divided_windows(prepared)
    if windows is None:
        message = f"`method {prepared.process}` runs on one GPU"
        cure = "Remove `--gpus`; `grain batch` uses all GPUs."
        raise fail("G753", message, cure, spec.span_of("method"))
    span = spec.context.span if spec.context else None
    if windows < gpus:
        which = f"the variant `{prepared.variant}`" if prepared.variant else "the clip"
        count = f"{windows} windows" if windows > 1 else "one window"
        message = f"{which} has {count}, which {gpus} GPUs cannot share"
        raise fail("G753", message, _more_windows(prepared, windows, gpus), span)
    most = -(-windows // gpus)
    enough = -(-windows // most)
    if enough < gpus:
        message = f"{windows} windows take as long on {gpus} GPUs as on {enough}: "
        message += f"one of them has {most} windows"
        yield Diagnostic("G754", message, f"Write `--gpus {enough}`.", span)


def _more_windows(prepared: Prepared, windows: int, gpus: int) -> str:
    """Return the cure for a clip of fewer windows than GPUs: fewer GPUs, or shorter windows."""
    fewer = f"write `--gpus {windows}`" if windows > 1 else "remove `--gpus`"
    if prepared.process == "controlvideo":
        return _more_intervals(prepared, fewer, gpus)
    spec, count = prepared.spec, len(prepared.plan.groups)
    context = spec.effective_context or Context()
    longest = min(count - 1, context.frames)  # longer ones might need more memory
    shorter = range(longest, context.overlap + context.keys, -1)
    fitting = (context.replaced({}, frames=frames) for frames in shorter)
    enough = next((it for it in fitting if len(frame_windows(count, it)) >= gpus), None)
    if enough is None:
        return f"{fewer.capitalize()}."
    rest = ""
    if spec.context and context == spec.context:
        rest = f"  overlap {context.overlap}  keys {context.keys}"
    return f"Write `context {{ frames {enough.frames}{rest} }}`, or {fewer}."


def _more_intervals(prepared: Prepared, fewer: str, gpus: int) -> str:
    """Return the cure for ControlVideo, whose windows are its key frames and each interval."""
    count, context = len(prepared.plan.groups), prepared.spec.effective_context or Context()
    enough = (it for it in range(count - 1, 1, -1) if len(hierarchy(count, it)) >= gpus)
    interval = next(enough, None)
    if interval is None:
        return f"{fewer.capitalize()}."
    cure = f"Write `interval {interval}` in `method controlvideo`"
    if len(prepared.windows) == 1:  # the clip at once
        cure += f", and `context {{ frames {min(count - 1, context.frames)} }}`"
    return f"{cure}, or {fewer}."
