"""Options of a run, and the arguments of an editor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch

from grainspec_runtime.attention import NAMES
from grainspec_runtime.models.additions import Embedding, Lora
from grainspec_runtime.models.options import Offload, Parallel


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run.

    backend: the attention backend, as in :func:`grainspec_runtime.modulated_attention`.
    use_cache: read and write the cache: inversions, and the state of unfinished runs.
    fresh: write to the cache, but do not read it: no cached inversion, no resuming.
    reconstruct: also reconstruct the clip without an edit, to measure the inversion.
    study: also record attention; such a run does not resume, it starts at the first step.
    """

    backend: str = "auto"
    use_cache: bool = True
    fresh: bool = False
    reconstruct: bool = False
    study: bool = False

    def __post_init__(self) -> None:
        known = ("auto", *NAMES)
        if self.backend not in known:
            choices = ", ".join(f"`{choice}`" for choice in known)
            raise ValueError(f"unknown backend `{self.backend}`: use one of {choices}")

    @property
    def look_up(self) -> bool:
        """Whether to use cached inversions."""
        return self.use_cache and not self.fresh

    @property
    def resumes(self) -> bool:
        """Whether to resume an interrupted run; a study has to record every step."""
        return self.look_up and not self.study


class EditorSettings(TypedDict, total=False):
    """The fields of :class:`RunOptions` and :class:`LoadOptions`, as an editor's arguments."""

    backend: str
    use_cache: bool
    fresh: bool
    reconstruct: bool
    study: bool
    device: torch.device | str | None
    dtype: torch.dtype | None
    offload: Offload | None
    vae_slicing: bool
    vae_tiling: bool
    compile: bool
    parallel: Parallel | None
    loras: Sequence[Lora]
    embeddings: Sequence[Embedding]
