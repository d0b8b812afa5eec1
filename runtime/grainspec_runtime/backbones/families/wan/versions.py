"""Whether the installed diffusers has Wan."""

from __future__ import annotations

import diffusers

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span
from grainspec_runtime.schedules.private_state import TESTED

_NEEDED = ("WanVACEPipeline", "WanImageToVideoPipeline", "AutoencoderKLWan")


def check_diffusers(span: Span | None = None) -> None:
    """Raise GrainError (G529) if the installed diffusers is older than Wan's pipelines."""
    missing = [name for name in _NEEDED if not hasattr(diffusers, name)]
    if missing:
        installed = diffusers.__version__
        message = f"Wan requires {missing[0]}, which diffusers {installed} does not have"
        cure = f"Install a version that the tests pass with: `pip install diffusers=={TESTED}`."
        raise fail("G529", message, cure, span)
