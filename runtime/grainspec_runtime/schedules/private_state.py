"""The private state of diffusers' solvers that resuming a run reads and writes.

diffusers has no public way to save a solver between two steps. The names below are its own, and a
release may rename them; a run would then resume with a wrong picture. So every name is checked to
exist when a solver is made, and no solver without a row here is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grainspec.diagnostics import fail

TESTED = "0.42.1"
"""The newest version of diffusers that the tests of this release pass with."""


@dataclass(frozen=True)
class StateNames:
    """Names of a solver's attributes: numbers, lists of tensors, and tensors.

    ``late`` are those that the solver makes in its first step.
    """

    numbers: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    late: tuple[str, ...] = ()


_MULTISTEP = StateNames(numbers=("_step_index", "lower_order_nums"), lists=("model_outputs",))

_NAMES: Mapping[str, StateNames] = {
    "DDIMScheduler": StateNames(),
    "FlowMatchEulerDiscreteScheduler": StateNames(numbers=("_step_index",)),
    "DPMSolverMultistepScheduler": _MULTISTEP,
    "DEISMultistepScheduler": _MULTISTEP,
    "UniPCMultistepScheduler": StateNames(
        numbers=("_step_index", "lower_order_nums", "this_order"),
        lists=("model_outputs", "timestep_list"),
        tensors=("last_sample",),
        late=("this_order",),
    ),
}
"""The state of every solver, by the name of its class; DDIM has none, Euler counts its steps."""


def state_names(solver: Any, *, stepped: bool) -> StateNames:
    """Return the names of a solver's state; ``stepped``: after its first step.

    Raises GrainError (G529) if diffusers renamed one, or if the solver's state is not known.
    """
    kind = type(solver).__name__
    names = _NAMES.get(kind)
    if names is None:
        raise fail("G529", f"the state of diffusers' {kind} is not known", _cure())
    for name in (*names.numbers, *names.lists, *names.tensors):
        if not hasattr(solver, name) and (stepped or name not in names.late):
            from diffusers import __version__

            message = (
                f"the {kind} of diffusers {__version__} has no `{name}`, without which "
                "a run cannot resume with the same picture"
            )
            raise fail("G529", message, _cure())
    return names


def _cure() -> str:
    return f"Install a version that the tests pass with: `pip install diffusers=={TESTED}`."
