"""Choose the backend of a call, and run it."""

from __future__ import annotations

import logging
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from grainspec_runtime.attention.backends import BACKENDS
from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.backends.fallback import attempt, attempt_by, warn_fallback
from grainspec_runtime.attention.call import AttentionCall, Requirements
from grainspec_runtime.attention.partial_result import Partials

LOG = logging.getLogger("grainspec.attention")

NAMES = tuple(BACKENDS)
"""The names of all backends."""

AUTO = "triton"
"""What ``auto`` picks on a GPU, where it can run. Elsewhere it picks that backend's fallback."""


class Choice(NamedTuple):
    """A backend's name, and the reason in words."""

    backend: str
    reason: str


def choose(
    backend: str,
    device: torch.device,
    dtype: torch.dtype,
    width: int,
    features: frozenset[str] = frozenset(),
) -> Choice:
    """The backend that will run.

    Args:
        backend: ``"auto"``, or one of ``NAMES`` to force it.
        device, dtype, width: of the query; ``width`` is the head size.
        features: the optional fields of the call, of :data:`.call.FEATURES`.

    A backend that cannot run is replaced by its fallback, with one warning. ``auto`` warns on a
    GPU only. ``BACKENDS[name].why_not(...)`` says why a backend cannot run.

    Raises:
        ValueError: if no backend has that name.
    """
    if backend != "auto" and backend not in BACKENDS:
        raise ValueError(f"unknown backend `{backend}`: use one of auto, {', '.join(BACKENDS)}")
    requirements = Requirements(device, dtype, width, features)
    if backend == "auto":
        choice = _automatic(requirements)
    else:
        choice = _available(backend, "requested", requirements)
    _log_once(requirements, choice)
    return choice


def run(call: AttentionCall, backend: str) -> Tensor:
    """The call's result by the chosen backend, or by its fallback if its kernel fails.

    The result has the query's shape and dtype; its strides are the backend's.
    """
    chosen = BACKENDS[choose(backend, *call.requirements).backend]
    out = attempt(chosen, call)
    return run(call, chosen.fallback) if out is None else out


def run_partials(call: AttentionCall, backend: str) -> Partials:
    """The call's partial results by the chosen backend, or by the first fallback that has them.

    Raises:
        ValueError: if the call has ``columns``, which need all keys.
    """
    if call.columns is not None:
        raise ValueError("partial results have no columns: their extremes need all keys at once")
    return _partials_of(BACKENDS[choose(backend, *call.requirements).backend], call)


def _partials_of(backend: Backend, call: AttentionCall) -> Partials:
    if backend.partials is None:
        warn_fallback(backend.name, backend.fallback, f"`{backend.name}` has no partial results")
        out = None
    else:
        out = attempt_by(backend, backend.partials, call)
    if out is not None:
        return out
    return _partials_of(BACKENDS[choose(backend.fallback, *call.requirements).backend], call)


def _automatic(requirements: Requirements) -> Choice:
    if requirements.device.type == "cuda":
        return _available(AUTO, "fused kernels on a GPU", requirements)
    why_not = BACKENDS[AUTO].why_not(*requirements)
    return Choice(BACKENDS[AUTO].fallback, why_not or "Triton's interpreter is slow")


def _available(backend: str, reason: str, requirements: Requirements) -> Choice:
    """The backend, or the first of its fallbacks that can run."""
    why_not = BACKENDS[backend].why_not(*requirements)
    if why_not is None:
        return Choice(backend, reason)
    fallback = BACKENDS[backend].fallback
    warn_fallback(backend, fallback, why_not)
    return _available(fallback, why_not, requirements)


@cache
def _log_once(requirements: Requirements, choice: Choice) -> None:
    device, dtype, width, _ = requirements
    LOG.debug("%s, %s, head size %d: `%s` (%s)", device, dtype, width, *choice)
