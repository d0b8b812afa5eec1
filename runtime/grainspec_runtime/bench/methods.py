"""The ways to make an edit that are compared: ours, parts of ours, and what else one would try."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from grainspec import ALL, Builder
from grainspec.spec import Edit, EditSpec
from grainspec_runtime.bench.cases import FRAMES, Case

GUIDANCE = 4.0


@dataclass(frozen=True)
class Method:
    """attention: its settings, as in a spec. everywhere: the prompt changes all of the frame;
    no region holds anything. paste: what is outside the regions is put back, in latents and pixels.
    reweighted: attention to an edit's words is scaled, as in Prompt-to-Prompt."""

    name: str
    about: str
    attention: dict[str, Any] = field(default_factory=dict)
    everywhere: bool = False
    paste: bool = False
    reweighted: bool = False

    def spec(self, case: Case, steps: int) -> EditSpec:
        """The case's spec, to be edited this way."""
        builder = case.spec
        if self.everywhere:
            whole = case.spec.build()
            words = next(edit.phrase for edit in whole.changes if isinstance(edit, Edit))
            builder = (
                Builder("clip", frames=(0, FRAMES - 1))
                .source(whole.source)
                .target(whole.target)
                .region("everything", ALL)
                .edit("everything", words)
            )
        if self.paste:
            builder = builder.blend("both")
        builder = builder.attention(**self.attention)
        return builder.sampler(steps=steps, guidance=GUIDANCE).build()


TUNED: dict[str, Any] = {
    "cross": 1.0,
    "self": 1.0,
    "until": 0.6,
    "decay": 1.0,
    "phrases": "in_context",
}
"""The best of 22 settings on the tuning split, by frames right, every grain counting the same."""
VIDEOGRAIN: dict[str, Any] = {
    "cross": 1.0,
    "self": 0.3,
    "until": 0.3,
    "decay": 5.0,
    "phrases": "isolated",
}
"""The constants of VideoGrain's own code."""


def _with(**changed: Any) -> dict[str, Any]:
    return {**TUNED, **changed}


_OFF = _with(cross=0.0, self=0.0)
OURS = Method("ours", "modulated attention, settings tuned on the other split", TUNED)
NONE = Method("no modulation", "both strengths 0, all else as ours", _OFF)

METHODS: tuple[Method, ...] = (
    OURS,
    Method(
        "videograin",
        "the constants of VideoGrain's own code",
        VIDEOGRAIN,
    ),
    NONE,
    Method("cross only", "words pull, features do not", _with(self=0.0)),
    Method("self only", "features pull, words do not", _with(cross=0.0)),
    Method("each", "every frame attends to itself alone", _with(frames="each")),
    Method("first-last", "… to the first and the last frame", _with(frames="first_last")),
    Method("sparse-causal", "… to the first and the one before", _with(frames="sparse_causal")),
    Method("prompt only", "the target prompt, no regions at all", _OFF, everywhere=True),
    Method("prompt, pasted", "the same, the clip put back outside the regions", _OFF, paste=True),
    Method(
        "re-weighted",
        "Prompt-to-Prompt: attention to the new words × 4, to the place's × 2",
        _OFF,
        reweighted=True,
    ),
)
"""In the order of the table; ``ours`` attends to all frames, as the design has it."""
