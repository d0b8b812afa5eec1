"""The step of a pipeline's run, from the timesteps that its denoiser receives.

Image-to-image pipelines begin within the scheduler's timesteps, and others stop before their end.
Steps are counted over those that the run makes: with ``until 30%``, the first 30 % of these are
modulated, wherever the run begins. The strength ξ depends on the noise level alone.
"""

from __future__ import annotations

from typing import Any

from grainspec.diagnostics import fail

_TOLERANCE = 1e-3
"""How far a timestep may be from the scheduler's, in units of their range."""


class RunSteps:
    """Counts the steps of a pipeline's runs; ``what`` is its denoiser in messages."""

    def __init__(self, pipe: Any, what: str = "UNet") -> None:
        self._pipe = pipe
        self._what = what
        self._timesteps: Any = None  # the scheduler's object: each run makes its own
        self._scheduler_steps: list[float] = []
        self._run: list[float] = []  # the timesteps of this run, each once

    def begins_run(self) -> bool:
        """Return whether the scheduler's timesteps were set since the last call of :meth:`at`."""
        return self._pipe.scheduler.timesteps is not self._timesteps

    def at(self, timestep: float, *, in_call: bool) -> tuple[int, int]:
        """Return the index of the run's step at a timestep, and the number of its steps.

        In a call of the pipeline, it says how many there are; a loop of the user is taken to go on
        to the last. Solvers of second order call the denoiser several times at a timestep; these
        count as one step.

        Raises GrainError (G412) if the timestep is not one of the scheduler's.
        """
        if self.begins_run():
            self._timesteps = self._pipe.scheduler.timesteps
            self._scheduler_steps = [float(time) for time in self._timesteps]
            self._run = []
        place = self._place(timestep)
        time = self._scheduler_steps[place]
        if time not in self._run:  # a new run, or one that begins earlier than the last one did
            self._run = list(
                dict.fromkeys(self._scheduler_steps[place : self._end(place, in_call)])
            )
        return self._run.index(time), len(self._run)

    def _place(self, timestep: float) -> int:
        times = self._scheduler_steps
        place = min(range(len(times)), key=lambda index: abs(times[index] - timestep))
        if abs(times[place] - timestep) > _TOLERANCE * max(1.0, max(times) - min(times)):
            message = (
                f"the {self._what} receives the timestep {timestep:g}, which is not one of the "
                "pipeline's scheduler"
            )
            raise fail("G412", message, "Call the pipeline that the plan is applied to.")
        return place

    def _end(self, first: int, in_call: bool) -> int | None:
        """Return where a run stops that begins at an index; None at the last timestep."""
        count = getattr(self._pipe, "num_timesteps", None) if in_call else None
        return None if count is None else first + int(count)
