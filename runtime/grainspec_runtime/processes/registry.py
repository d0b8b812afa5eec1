"""All editing processes, in one table.

To add a process: write one module here whose class has the members of
:class:`grainspec_runtime.processes.process.Process`, and add it to the table. The contract test
(``tests/runtime/test_processes.py``) then runs it.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from grainspec.model.settings import ProcessName
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.flow_edit import FlowEdit
from grainspec_runtime.processes.invert_and_sample import InvertAndSample
from grainspec_runtime.processes.process import Process


class MakeProcess(Protocol):
    """Makes a process for one clip on one model."""

    def __call__(
        self,
        denoiser: Denoiser,
        latents: Tensor,
        additions: dict[str, Any],
        *,
        use_cache: bool,
        look_up: bool,
    ) -> Process:
        """Make it.

        ``latents`` ``[F, c, h, w]`` are the clip's. ``additions`` are those of
        :meth:`LoadOptions.additions`, for cache keys. Without ``use_cache`` nothing is kept on
        disk; without ``look_up`` nothing is read there.
        """


PROCESSES: dict[ProcessName, MakeProcess] = {
    "invert_and_sample": InvertAndSample,
    "flow_edit": FlowEdit,
}
"""Processes by name, as a spec writes it."""
