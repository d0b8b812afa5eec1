"""Which controls of a spec VACE can follow. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence

from grainspec.diagnostics import fail
from grainspec.model.spec import Control, ControlKind

PICTURES: tuple[ControlKind, ...] = ("depth", "pose", "canny", "lineart", "softedge")
"""Controls whose pictures are of kinds that VACE was trained on."""


def check_vace_controls(controls: Sequence[Control], model: str) -> None:
    """Raise GrainError (G546) if VACE cannot follow these controls as one control video."""
    for control in controls:
        if control.kind not in (*PICTURES, "inpaint"):
            message = f"{model} was not trained on `control {control.kind}`"
            cure = "Use " + ", ".join(f"`{kind}`" for kind in PICTURES) + " or `inpaint`."
            raise fail("G546", message, cure, control.span_of("kind") or control.span)
        if control.net is not None:
            message = f"{model} is VACE, which follows controls itself, without a ControlNet"
            raise fail("G546", message, "Remove `net`.", control.span_of("net"))
    shown = [control for control in controls if control.kind != "inpaint"]
    if len(shown) > 1 or len(controls) > 2:
        again = shown[1] if len(shown) > 1 else controls[-1]
        message = f"{model} is shown one control video, which cannot be of several kinds"
        cure = "Keep one of them; `control inpaint` can be added to it."
        raise fail("G546", message, cure, again.span)
    for name in ("scale", "start", "until"):
        values = {getattr(control, name) for control in controls}
        if len(values) > 1:
            word = "from" if name == "start" else name
            message = f"{model} is shown all controls in one video, which has one `{word}`"
            cure = f"Write the same `{word}` in both."
            raise fail("G546", message, cure, controls[-1].span_of(name) or controls[-1].span)
