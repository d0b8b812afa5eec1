"""What sampling on a flow-matching model should set the rest of the frame back to: four candidates.

    python runtime/benchmarks/flow_blending.py

After each step of `invert_and_sample`, what no edit names is set back to the source at the new
noise level σ. It can be

- the trajectory of the inversion, as on all other models;
- the straight line (1 − σ) X + σ N from the clip X to the last noise N of the inversion;
- the same line to one fresh noise, or to a new one at each step.

All give X itself at the end. They differ in what the edit sees beside it on the way. Here the clip
is a row of 64 correlated Gaussian numbers, whose velocity, inversion and sampling are known without
a network, and the edit adds 1.5 to its right half. In the first case the target prompt does so,
too. In the second it also adds 1 on the left, as prompts do that change more than they should.

Prints, as means over 40 clips: how far the right half is from X + 1.5 (root mean square), and the
step at the border in units of those between neighbours in clips. Takes seconds on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SIZE, ADDED, CLIPS = 64, 1.5, 40
PLACES = np.arange(SIZE)
EDITED = PLACES >= SIZE // 2
COVARIANCE = 0.5 * np.exp(-np.abs(PLACES[:, None] - PLACES) / 8) + 1e-3 * np.eye(SIZE)
ROOT = np.linalg.cholesky(COVARIANCE)

Back = Callable[[int, float], Floats]
"""From the number of a step and the noise level after it to what the rest is set back to."""


def velocity(x: Floats, sigma: float, mean: Floats) -> Floats:
    """Return E[N − X | x] for X ~ N(mean, COVARIANCE)."""
    variance = (1 - sigma) ** 2 * COVARIANCE + sigma**2 * np.eye(SIZE)
    away: Floats = np.linalg.solve(variance, x - (1 - sigma) * mean)
    return sigma * away - mean - (1 - sigma) * COVARIANCE @ away


def levels(steps: int, shift: float = 3.0) -> Floats:
    """Return the noise levels of a run, from 1 to 0."""
    even = np.linspace(1, 1e-3, steps + 1)[:-1]
    return np.append(shift * even / (1 + (shift - 1) * even), 0)


def inverted(x: Floats, sigmas: Floats) -> list[Floats]:
    """Return the trajectory from a clip to noise, as `processes/invert.py` computes it."""
    trajectory, here, moving = [x], 0.0, None
    for there in sigmas[-2::-1]:
        moving = velocity(x, there, np.zeros(SIZE)) if moving is None else moving
        moving = velocity(x + (there - here) * moving, there, np.zeros(SIZE))
        x, here = x + (there - here) * moving, there
        trajectory.append(x)
    return trajectory


def sampled(x: Floats, sigmas: Floats, mean: Floats, back: Back) -> Floats:
    """Sample from noise with a target, and set the rest back after every step."""
    for step, (here, there) in enumerate(pairwise(sigmas)):
        x = x + (there - here) * velocity(x, here, mean)
        x = np.where(EDITED, x, back(step, there))
    return x


def candidates(
    clip: Floats, trajectory: list[Floats], random: np.random.Generator
) -> Iterator[tuple[str, Back]]:
    """Give each candidate with its name."""
    fresh = random.standard_normal(SIZE)

    def line(sigma: float, noise: Floats) -> Floats:
        return (1 - sigma) * clip + sigma * noise

    yield "trajectory", lambda step, sigma: trajectory[-2 - step]
    yield "line to its noise", lambda step, sigma: line(sigma, trajectory[-1])
    yield "line to fresh noise", lambda step, sigma: line(sigma, fresh)
    yield "new noise each step", lambda step, sigma: line(sigma, random.standard_normal(SIZE))


def main() -> None:
    """Print a table."""
    typical = np.sqrt(4 / np.pi * (COVARIANCE[0, 0] - COVARIANCE[0, 1]))  # mean of |difference|
    for title, beside in (("the edit alone", 0.0), ("more than the edit", 1.0)):
        mean = np.where(EDITED, ADDED, beside)
        for steps in (10, 25, 50):
            sigmas = levels(steps)
            found: dict[str, list[tuple[float, float]]] = {}
            for seed in range(CLIPS):
                random = np.random.default_rng(seed)
                clip = ROOT @ random.standard_normal(SIZE)
                trajectory = inverted(clip, sigmas)
                for name, back in candidates(clip, trajectory, random):
                    away = sampled(trajectory[-1], sigmas, mean, back) - ADDED * EDITED
                    wrong = np.sqrt(np.mean((away - clip)[EDITED] ** 2))
                    border = abs(np.diff(away)[SIZE // 2 - 1]) / typical
                    found.setdefault(name, []).append((wrong, border))
            print(f"the target changes {title}; {steps} steps")
            for name, values in found.items():
                wrong, border = np.mean(values, axis=0)
                print(f"    {name:<20} away {wrong:.3f}   border {border:.2f}")


if __name__ == "__main__":
    main()
