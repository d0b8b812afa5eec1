"""What the demo backbone does not know: words it never learnt, clips that are not of its world."""

from __future__ import annotations

import re

import numpy as np

from grainspec.diagnostics import Diagnostic, closest
from grainspec.diagnostics.span import Span
from grainspec.model.spec import EditSpec
from grainspec_runtime.backbones.locate import REAL_MODEL_LINE
from grainspec_runtime.demo.world import VOCABULARY
from grainspec_runtime.media.decode import Frames

LEAST_PSNR = 27.0
"""Clips of the demo world come through its VAE with 33 dB or more, after H.264 too; photographs,
which it never saw, with far less."""


def unknown_words(spec: EditSpec) -> list[Diagnostic]:
    """Warnings (G510) for prompts with words outside the demo vocabulary."""
    prompts: list[tuple[str, Span | None]] = [
        (getattr(spec, name), spec.span_of(name)) for name in ("source", "target", "negative")
    ]
    found = []
    for text, span in prompts:
        words = dict.fromkeys(re.findall(r"[^\W\d_]+", text.lower()))
        strange = [word for word in words if word not in VOCABULARY]
        if strange:
            shown = ", ".join(f"“{word}”" for word in strange[:8])
            near = [known for word in strange if (known := closest(word, VOCABULARY))]
            hint = f" (it knows “{near[0]}”)" if near else ""
            message = f"the demo model knows only its cartoon world, not {shown}{hint}"
            cure = f"For real clips and words, name a real checkpoint: {REAL_MODEL_LINE}"
            found.append(Diagnostic("G510", message, cure, span))
    return found


def strange_clip(frames: Frames, decoded: Frames, span: Span | None) -> list[Diagnostic]:
    """A warning (G511) for a clip that the demo VAE cannot reproduce.

    ``frames`` went in and ``decoded`` came out, both uint8 ``[F, H, W, 3]``.
    """
    error = np.square(frames.astype(np.float64) - decoded).mean(axis=(1, 2, 3))
    psnr = float(np.mean(10 * np.log10(255**2 / np.maximum(error, 1e-9))))
    if psnr >= LEAST_PSNR:
        return []
    message = f"this clip is not of the demo model's cartoon world (it comes back at {psnr:.0f} dB)"
    cure = f"For real clips, name a real checkpoint: {REAL_MODEL_LINE}"
    return [Diagnostic("G511", message, cure, span)]
