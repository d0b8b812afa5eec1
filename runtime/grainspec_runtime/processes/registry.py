"""All editing processes, and the editing methods of other papers, in two tables.

To add a process: write one module here whose class has the members of
:class:`grainspec_runtime.processes.process.Process`, and add it to the table. The contract test
(``tests/runtime/test_processes.py``) then runs it.

To add a method, which has the same members and takes the place of a process:

1. ``grainspec/model/settings.py``: its name in ``MethodName`` and in the description of
   ``Method.name``; its settings in ``Method``, whose descriptions begin with ``For `NAME`: …``.
2. ``grainspec/checks/method.py``: a row in ``TRAITS``, what it takes from the rest of a spec.
3. ``processes/methods/NAME.py``: its class, with its ``departures``; a line in ``METHODS`` below.
4. The ``methods`` of the model families that it edits (``backbones/families``), and its passes in
   ``passes.py``.
5. A row in ``grammar/README.md`` (`method NAME`), then ``python -m grainspec.generate``; a row in
   ``MAKE`` of ``tests/runtime/test_processes.py``, and its own tests.

:attr:`Job.method` holds the settings.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from torch import Tensor

from grainspec.model.settings import EditingName, MethodName, ProcessName
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.flow_edit import FlowEdit
from grainspec_runtime.processes.invert_and_sample import InvertAndSample
from grainspec_runtime.processes.methods.controlvideo import ControlVideo
from grainspec_runtime.processes.methods.dfvedit import DFVEdit
from grainspec_runtime.processes.methods.dmt import DMT
from grainspec_runtime.processes.methods.fatezero import FateZero
from grainspec_runtime.processes.methods.ground_a_video import GroundAVideo
from grainspec_runtime.processes.methods.tokenflow import TokenFlow
from grainspec_runtime.processes.methods.video_p2p import VideoP2P
from grainspec_runtime.processes.process import Process


class MakeProcess(Protocol):
    """Makes a process for one clip on one model.

    departures: what differs from the publication, each in a sentence that says what the paper or
    its code does, what is done here, and why.
    """

    @property
    def departures(self) -> tuple[str, ...]: ...  # noqa: D102

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

METHODS: dict[MethodName, MakeProcess] = {
    "tokenflow": TokenFlow,
    "controlvideo": ControlVideo,
    "ground_a_video": GroundAVideo,
    "dmt": DMT,
    "dfvedit": DFVEdit,
    "fatezero": FateZero,
    "video_p2p": VideoP2P,
}
"""Editing methods of other papers by name, as a spec writes it."""

_TABLES: tuple[Mapping[Any, MakeProcess], ...] = (PROCESSES, METHODS)
EDITING: dict[EditingName, MakeProcess] = {
    name: make for table in _TABLES for name, make in table.items()
}
"""All that makes edits."""

UNRECORDED: Collection[EditingName] = ("tokenflow", "controlvideo")
"""Methods that make their own attention, with other frames in every pass: no study records it."""
