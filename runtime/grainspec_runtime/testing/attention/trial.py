"""One call given to a backend, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from grainspec.testing.broken import Broken
from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.partial_result import Partials
from grainspec_runtime.testing.attention.calls import Drawn
from grainspec_runtime.testing.attention.definition import Floats, Numbers, attention

Result = TypeVar("Result")

ROUNDING = {torch.float64: 2e-5, torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 1.5e-2}
"""How far a result may be from the definition's, in units of the largest value.

Two roundings of a half-precision number, of the weights and of the result, are 1e-3 and 8e-3;
float32 sums of some hundred terms are well within 2e-5.
"""

SCORES = 16 * 2.0**-24
"""What is added to that for a score of magnitude 1: scores are rounded to float32."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A backend and a call that it supports."""

    backend: Backend
    drawn: Drawn

    @property
    def call(self) -> AttentionCall:
        """The call."""
        return self.drawn.call

    @cached_property
    def out(self) -> Tensor:
        """The backend's result; raises Broken (``declines``) for what the backend raises."""
        return self.run(self.call)

    @cached_property
    def result(self) -> Floats:
        """The result as an array."""
        return array(self.out)

    @cached_property
    def numbers(self) -> Numbers:
        """The call's arguments as arrays."""
        return Numbers.of(self.call)

    @cached_property
    def expected(self) -> Floats:
        """The definition's result."""
        return attention(self.numbers)

    @cached_property
    def relative_tolerance(self) -> float:
        """``tolerance`` in units of the largest value."""
        x = self.numbers
        largest = np.abs(np.einsum("bhnd,bhmd->bhnm", x.query_BHNd, x.key_BHMd)).max()
        return ROUNDING[self.call.query.dtype] + SCORES * abs(x.scale) * float(largest)

    @cached_property
    def tolerance(self) -> float:
        """How far a number of the result may be from the expected one."""
        return self.relative_tolerance * max(float(np.abs(self.numbers.value_BHMd).max()), 1e-6)

    def run(self, call: AttentionCall) -> Tensor:
        """The backend's result for a call like this one; an error is a broken promise."""
        return self._computed(self.backend.run, call)

    def partials(self, call: AttentionCall) -> Partials:
        """The backend's partial results for a call like this one."""
        assert self.backend.partials is not None
        return self._computed(self.backend.partials, call)

    def _computed(self, compute: Callable[[AttentionCall], Result], call: AttentionCall) -> Result:
        try:
            return compute(call)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise self.broken(
                "declines",
                "it raises for a call that `why_not` accepts: "
                f"{type(error).__name__}: {str(error).strip() or 'without a message'}",
            ) from error

    def changed(self, **arguments: Any) -> AttentionCall:
        """The call with other arguments, and without a class order."""
        return replace(self.call, **{"order": None, **arguments})

    def broken(self, name: str, message: str, **where: object) -> Broken:
        """The error of a broken property of this call."""
        return Broken(name, f"`{self.backend.name}`: {message}", **where, call=self.drawn)

    def compare(
        self,
        name: str,
        out: Floats,
        expected: Floats,
        what: str,
        cause: str = "",
        tolerance: float | None = None,
    ) -> None:
        """Raise Broken if two results differ; ``what`` says which result is expected."""
        with np.errstate(invalid="ignore"):
            away = np.where(out == expected, 0.0, np.abs(out - expected))  # both may be −∞
        most = self.tolerance if tolerance is None else tolerance
        if np.all(away <= most):
            return
        place = np.unravel_index(np.nanargmax(np.where(np.isnan(away), np.inf, away)), away.shape)
        batch, head, row, column = map(int, place)
        raise self.broken(
            name,
            f"the result is {out[place]:.6g}, but {what} {expected[place]:.6g}, and at most "
            f"{most:.2g} away{cause}",
            batch=batch,
            head=head,
            row=row,
            column=column,
        )


def array(out: Tensor) -> Floats:
    """A result as an array."""
    return out.detach().cpu().double().numpy()


def labels_at(labels_BN: Tensor, index: Tensor) -> Tensor:
    """Labels of some tokens, in their dtype: on CUDA, torch indexes no uint16."""
    return labels_BN.long()[:, index].to(labels_BN.dtype)
