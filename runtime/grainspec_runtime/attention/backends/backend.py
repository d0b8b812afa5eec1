"""What a backend of the operator is: a function that runs a call, and what it requires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from grainspec_runtime.attention.call import FEATURES, AttentionCall
from grainspec_runtime.attention.partial_result import Partials


def no_further_requirements(device: torch.device, dtype: torch.dtype, width: int) -> str | None:
    """The probe of a backend whose requirements are all in its table entry."""
    return None


@dataclass(frozen=True)
class Backend:
    """A backend and its requirements. None means no requirement.

    Attributes:
        name: the word that users choose it by.
        run: computes a call; returns ``[B, H, N, d]`` in the query's dtype, on its device.
        devices: device types.
        dtypes: dtypes of query, key and value.
        widest: the largest head size.
        features: the optional fields of a call that it supports, of :data:`.call.FEATURES`.
        partials: computes a call without ``columns`` as partial results, for the same devices,
            dtypes, head sizes and features; None where the fallback has to.
        probe: ``(device, dtype, width)`` to what else keeps it from running, such as a missing
            package; None if nothing does. Called on supported devices only.
        compiles: whether ``run`` compiles a kernel, which can fail on a machine for reasons that
            no probe sees. The fallback takes over then.
        fallback: the backend that runs where this one cannot.
    """

    name: str
    run: Callable[[AttentionCall], Tensor]
    devices: tuple[str, ...] | None = None
    dtypes: tuple[torch.dtype, ...] | None = None
    widest: int | None = None
    features: frozenset[str] = frozenset()
    partials: Callable[[AttentionCall], Partials] | None = None
    probe: Callable[[torch.device, torch.dtype, int], str | None] = no_further_requirements
    compiles: bool = False
    fallback: str = "rows"

    def why_not(
        self,
        device: torch.device,
        dtype: torch.dtype,
        width: int,
        features: frozenset[str] = frozenset(),
    ) -> str | None:
        """Why this backend cannot run such a call, in words; None if it can.

        Args:
            device, dtype, width: of the query; ``width`` is the head size.
            features: the optional fields of the call.
        """
        if self.devices is not None and device.type not in self.devices:
            return f"`{self.name}` requires {' or '.join(self.devices)}, not {device.type}"
        if why_not := self.probe(device, dtype, width):
            return why_not
        if self.dtypes is not None and dtype not in self.dtypes:
            return f"`{self.name}` does not support {dtype}"
        if self.widest is not None and width > self.widest:
            return f"`{self.name}` supports a head size of at most {self.widest}, not {width}"
        if missing := [
            words for name, words in FEATURES.items() if name in features - self.features
        ]:
            return f"`{self.name}` does not support {' or '.join(missing)}"
        return None
