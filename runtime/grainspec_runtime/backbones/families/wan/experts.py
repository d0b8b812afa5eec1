"""The transformers of a Wan checkpoint: one, or two for different noise levels (Wan 2.2 A14B)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from grainspec.model.spec import Sampler
from grainspec_runtime.backbones.families.wan.configs import EXPERTS


class Experts:
    """The transformers of ``pipe``, and which of them denoises at a timestep.

    The first one denoises from the timestep ``boundary`` on, the second one below it. ``changed``
    is called before another one runs than the last time.
    """

    def __init__(self, pipe: Any, changed: Callable[[], None] = lambda: None) -> None:
        ratio = pipe.config.get("boundary_ratio")
        second = getattr(pipe, "transformer_2", None) if ratio is not None else None
        self.networks: tuple[nn.Module, ...] = (pipe.transformer, *filter(None, [second]))
        self.boundary: float | None = None
        if second is not None:
            self.boundary = ratio * pipe.scheduler.config.num_train_timesteps
        self.module: nn.Module = pipe.transformer
        """One module that contains them all; of two experts the names begin as the pipeline's."""
        if second is not None:
            self.module = nn.ModuleDict(dict(zip(EXPERTS, self.networks, strict=True)))
        self._changed = changed
        self._last: nn.Module | None = None

    def at(self, timestep: float) -> Any:
        """Return the transformer for a timestep, by the rule of diffusers' pipelines."""
        network = self.networks[self._index(timestep)]
        if self._last is not None and network is not self._last:
            self._changed()
        self._last = network
        return network

    def guidance(self, sampler: Sampler, timestep: float) -> float:
        """Return the scale of guidance at a timestep; that of the second expert may be another."""
        low = sampler.low_noise_guidance
        return low if low is not None and self._index(timestep) else sampler.guidance

    def _index(self, timestep: float) -> int:
        return int(self.boundary is not None and timestep < self.boundary)
