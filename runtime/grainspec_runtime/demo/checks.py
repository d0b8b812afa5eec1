"""Warnings for the demo model: unknown words, and clips that are not of the demo world."""

from __future__ import annotations

import re
import unicodedata

import numpy as np

from grainspec.diagnostics import Diagnostic, closest
from grainspec.diagnostics.span import Span
from grainspec.model.demo_models import DemoModel
from grainspec.model.spec import EditSpec
from grainspec.scripts import INVISIBLE, ZERO_WIDTH_SPACE, is_mark
from grainspec_runtime.demo.world import VOCABULARY
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.locate import REAL_MODEL_LINE

LEAST_PSNR: dict[DemoModel, float] = {"demo-image": 27.0, "demo-motion": 27.0, "demo-video": 24.0}
"""By model, the least PSNR of a clip of the demo world. The image model's VAE reconstructs such
clips with 33 dB or more, even after H.264, the video model's with 25.6 to 31.9 (five clips, crf
23). Photographs, which they were not trained on, have a far lower PSNR: at most 22.8 dB by the
video model's VAE, of four clips."""


def unknown_words(spec: EditSpec) -> list[Diagnostic]:
    """Warn (G510) about words in the prompts that are not in the demo model's vocabulary."""
    prompts: list[tuple[str, Span | None]] = [
        (getattr(spec, name), spec.span_of(name)) for name in ("source", "target", "negative")
    ]
    warnings = []
    for text, span in prompts:
        unknown = [word for word in dict.fromkeys(_words(text)) if word not in VOCABULARY]
        if unknown:
            shown = ", ".join(f"“{word}”" for word in unknown[:8])
            near = [known for word in unknown if (known := closest(word, VOCABULARY))]
            hint = f" (it knows “{near[0]}”)" if near else ""
            message = f"the demo model was only trained on its cartoon world, not on {shown}{hint}"
            cure = f"For real clips and words, use a real checkpoint: {REAL_MODEL_LINE}"
            warnings.append(Diagnostic("G510", message, cure, span))
    return warnings


def _words(text: str) -> list[str]:
    """The words of a prompt, each with its combining marks.

    >>> _words("a gru\u0308ner robot, हरा रोबोट")
    ['a', 'grüner', 'robot', 'हरा', 'रोबोट']
    """
    text = unicodedata.normalize("NFC", text.lower())
    marks = "".join({sign for sign in text if is_mark(sign)})
    more = rf"[^\W\d_]|(?!{ZERO_WIDTH_SPACE})[{marks}{INVISIBLE}]"
    return re.findall(rf"[^\W\d_](?:{more})*", text)


def strange_clip(
    frames: Frames, decoded: Frames, span: Span | None, model: DemoModel = "demo-image"
) -> list[Diagnostic]:
    """Warn (G511) about a clip that the VAE of a demo model cannot reconstruct.

    ``frames`` are the VAE's input and ``decoded`` its output, both uint8 ``[F, H, W, 3]``.
    """
    error = np.square(frames.astype(np.float64) - decoded).mean(axis=(1, 2, 3))
    psnr = float(np.mean(10 * np.log10(255**2 / np.maximum(error, 1e-9))))
    if psnr >= LEAST_PSNR[model]:
        return []
    message = (
        "this clip is not of the demo model's cartoon world: "
        f"the VAE reconstructs it with only {psnr:.0f} dB PSNR"
    )
    cure = f"For real clips, use a real checkpoint: {REAL_MODEL_LINE}"
    return [Diagnostic("G511", message, cure, span)]
