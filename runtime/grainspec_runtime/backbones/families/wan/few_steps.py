"""Wan models and LoRAs that were distilled to few steps, found by their names. Free of torch.

CausVid, AccVideo, Self-Forcing, LightX2V, Lightning, FastWan, Turbo, FusionX, rCM and DMD sample in
two to eight steps. Guidance is built into their weights, so they run one pass a step. Nothing else
in their files tells them from others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.span import Span
from grainspec.model.spec import Sampler

_HINTS = re.compile(
    r"caus-?vid|acc-?vid|light-?x2v|lightning|self[-_ ]?forcing|distill|turbo|fast-?wan|fusion-?x"
    r"|(?<![a-z])(?:rcm|dmd2?)(?![a-z])|(?<!\d)[1-8][-_ ]?steps?(?![a-z0-9])",
    re.IGNORECASE,
)


def few_steps_hint(names: Iterable[str]) -> str | None:
    """Return the part of a name that hints at distillation; None if there is none.

    >>> few_steps_hint(["Wan2.1-T2V-14B-StepDistill-CfgDistill"]), few_steps_hint(["ink_4steps"])
    ('Distill', '4steps')
    >>> few_steps_hint(["Wan2.1-T2V-1.3B-Diffusers", "ink-3000steps", "arcmap"])
    """
    found = next(filter(None, map(_HINTS.search, names)), None)
    return found[0] if found else None


def names_of(name: str) -> list[str]:
    """Return the names in a path or a hub id that may tell: its last two parts.

    >>> names_of("loras/Wan2.2-Lightning/high_noise_model.safetensors")
    ['high_noise_model.safetensors', 'Wan2.2-Lightning']
    """
    path = PurePath(name)
    return [path.name, path.parent.name]


def guidance_warning(
    what: str, hint: str, sampler: Sampler | None, span: Span | None = None
) -> list[Diagnostic]:
    """Return a warning (G540) if ``what``, distilled by its name, would be run with guidance."""
    if sampler is None:
        return []
    scales = {"guidance": sampler.guidance, "low_noise_guidance": sampler.low_noise_guidance}
    if sampler.process != "invert_and_sample":
        scales["source_guidance"] = sampler.source_guidance
    guided = [name for name, scale in scales.items() if scale not in (None, 1)]
    if not guided:
        return []
    message = (
        f"{what} seems to be distilled to few steps (its name contains `{hint}`), with guidance "
        f"built in, and `{guided[0]}` is {scales[guided[0]]:g}"
    )
    settings = "  ".join(f"{name} 1" for name in guided)
    cure = f"Write `sampler {{ steps 8  {settings} }}`, or as many steps as it was made for."
    return [Diagnostic("G540", message, cure, span or sampler.span_of(guided[0]))]
