"""Check an attention backend against the operator's definition."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch

from grainspec.testing.broken import Broken
from grainspec_runtime.attention.backends import BACKENDS
from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import FEATURES
from grainspec_runtime.testing.attention.calls import DTYPES, WIDTHS, Drawn, calls
from grainspec_runtime.testing.attention.causes import causes_of
from grainspec_runtime.testing.attention.memory import check_large, check_linear
from grainspec_runtime.testing.attention.properties import PROPERTIES
from grainspec_runtime.testing.attention.trial import Trial

NAMES = (*PROPERTIES, "linear")
"""The properties of attention backends, in the order of checking."""

_MORE_CALLS = 12
"""Calls after a wrong one that are looked at to find its cause."""


def check_attention(
    backend: Backend | str,
    *,
    device: torch.device | str = "cpu",
    dtypes: Sequence[torch.dtype] = DTYPES,
    widths: Sequence[int] = WIDTHS,
    examples: int = 40,
    seed: int = 0,
    linear: bool = True,
    properties: Collection[str] | None = None,
) -> None:
    """Check an attention backend against the operator's definition; raise Broken if it is wrong.

    The definition is computed in float64, pair by pair, by code that shares nothing with any
    backend. Calls are drawn where backends tend to be wrong: one query, one key, sizes beside a
    block's, rows without positive or without negative keys, classes without keys, more than 256
    classes, strengths of 0 and 1, equal scores, scores of ±10000, negative scales, expanded and
    strided tensors; soft, neutral and masked keys, and columns. A message says which call, which
    batch entry, head, row and column, and names the mistake if a usual one explains the result. A
    result may be 2e-5, 2e-3 or 1.5e-2 of the largest value away in float32, float16 or bfloat16,
    and 1e-6 more for every 1 of the largest score.

    The properties, by the name that Broken gives:

    - ``inputs``: the arguments are not changed.
    - ``declines``: ``why_not`` answers None or a reason, and what it accepts is computed.
    - ``shape``, ``finite``: the result is like the query, and has no NaN.
    - ``plain``: with λ⁺ = λ⁻ = 0 it is plain attention.
    - ``equal``: it is the definition's.
    - ``permutation``, ``batch``, ``order``, ``repeat``: tokens in another order, batch entries and
      heads by themselves, a class order that the caller keeps, and a second call, give the same.
    - ``masked``: masked keys that are added change nothing.
    - ``padding``: neutral keys that are added only take their share of the softmax.
    - ``partials``, ``joint``: partial results of parts of the keys merge to the definition's, and
      those of two blocks with strengths of their own to one softmax, where a backend has them.
    - ``linear``: in a call of 2048 queries and keys (8192 on a GPU), no tensor is of size N x M,
      and the result is right. Left out with ``linear=False``.

    Args:
        backend: a :class:`grainspec_runtime.attention.backends.backend.Backend`, or the name of a
            registered one.
        device: where it runs.
        dtypes, widths: those of query, key and value, and head sizes; what it declines is left out.
        examples: number of drawn calls, besides some hundred fixed ones.
        seed: of all drawn numbers.
        linear: whether to check ``linear``.
        properties: names of those to check; None for all.

    Raises:
        Broken: for the first broken property of the first call; small calls come first.
        ValueError: if the backend declines all calls, or a name is unknown.

    A backend of ten lines. It moves the scores of a block of rows, and takes their softmax:

    >>> import torch
    >>> from grainspec_runtime.attention.backends.backend import Backend
    >>> def run(call, largest=torch.amax):
    ...     out = torch.empty_like(call.query)
    ...     of_queries, of_keys = call.labels()
    ...     for b in range(call.batch):
    ...         for rows in torch.arange(call.queries).split(64):
    ...             s = call.scale * call.query[b][:, rows].float() @ call.key[b].float().mT
    ...             up, down = call.attract[b, rows, None], call.repel[b, rows, None]
    ...             pairs = call.relation[of_queries[b, rows]][:, of_keys[b]]
    ...             mx, mn = largest(s, -1, keepdim=True), s.amin(-1, keepdim=True)
    ...             s = torch.where(pairs, s + up * (mx - s), s + down * (mn - s)).softmax(-1)
    ...             out[b][:, rows] = (s @ call.value[b].float()).to(out.dtype)
    ...     return out
    >>> check_attention(Backend("mine", run), widths=[16, 33], examples=5)

    One that takes the smallest score for the largest is found out:

    >>> wrong = Backend("mine", lambda call: run(call, largest=torch.amin))
    >>> check_attention(wrong, examples=0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    grainspec.testing.broken.Broken: equal: `mine`: the result is ..., but by definition it is ...
    """
    chosen = _chosen(properties, linear=linear)
    mine = BACKENDS[_known(backend)] if isinstance(backend, str) else backend
    where = torch.device(device)
    drawn = calls(device=where, dtypes=dtypes, widths=widths, examples=examples, seed=seed)
    accepted = _accepted(mine, drawn)
    first = next(accepted, None)
    if first is None:
        why_not = mine.why_not(where, dtypes[0], widths[0])
        raise ValueError(f"`{mine.name}` declines every call, such as on {where}: {why_not}")
    _check_calls(first, accepted, chosen)
    if "linear" in chosen:
        call = first.call
        check_linear(mine, where, call.query.dtype, call.width)
        if "equal" in chosen:
            check_large(mine, where, call.query.dtype, call.width)


def _check_calls(first: Trial, others: Iterator[Trial], chosen: Collection[str]) -> None:
    trial: Trial | None = first
    while trial is not None:
        for name, check in PROPERTIES.items():
            if name in chosen:
                try:
                    check(trial)
                except Broken as broken:
                    if broken.invariant != "equal":
                        raise
                    raise _with_cause(broken, trial, others) from None
        trial = next(others, None)


def _with_cause(broken: Broken, trial: Trial, others: Iterator[Trial]) -> Broken:
    """The error with the mistake that explains this call and those after it, if one does."""

    def results() -> Iterator[tuple[object, object, float]]:
        yield trial.numbers, trial.result, trial.tolerance
        for _, other in zip(range(_MORE_CALLS), others, strict=False):
            try:
                yield other.numbers, other.result, other.tolerance
            except Broken:
                return

    causes = causes_of(results())  # type: ignore[arg-type]
    if not causes:
        return broken
    message = str(broken).removeprefix(f"{broken.invariant}: ")
    places = ", ".join(f"{name} {value}" for name, value in broken.where.items())
    message = message.removesuffix(f" ({places})")
    return Broken(broken.invariant, f"{message}; {_either(causes)}", **broken.where)


def _either(causes: Sequence[str]) -> str:
    if len(causes) == 1:
        return f"the cause: {causes[0]}"
    return "possible causes: " + "; or ".join(causes[:3])


def _accepted(backend: Backend, drawn: Iterator[Drawn]) -> Iterator[Trial]:
    """Trials of the calls that the backend accepts; raises Broken for one that is no reason."""
    _check_fallback(backend)
    for each in drawn:
        why_not = backend.why_not(*each.call.requirements)
        if why_not is None:
            yield Trial(backend, each)
        elif not isinstance(why_not, str) or len(why_not.split()) < 3:
            raise Broken(
                "declines",
                f"`{backend.name}`: it declines a call with {why_not!r}: no reason in words",
                call=each,
            )
    # asked, and never run: what no backend can be expected to have
    for requirements in (
        (torch.device("meta"), torch.float32, 16, frozenset[str]()),
        (torch.device("cpu"), torch.float64, 1000, frozenset(FEATURES)),
    ):
        why_not = backend.why_not(*requirements)
        if why_not is not None and not isinstance(why_not, str):
            raise Broken("declines", f"`{backend.name}`: it declines a call with {why_not!r}")


def _check_fallback(backend: Backend) -> None:
    if backend.fallback not in BACKENDS:
        known = ", ".join(BACKENDS)
        message = f"`{backend.name}`: its fallback is `{backend.fallback}`, not one of {known}"
        raise Broken("declines", message)


def _known(name: str) -> str:
    if name not in BACKENDS:
        raise ValueError(f"unknown backend `{name}`: use one of {', '.join(BACKENDS)}")
    return name


def _chosen(properties: Collection[str] | None, *, linear: bool) -> Collection[str]:
    unknown = set(properties or ()) - set(NAMES)
    if unknown:
        raise ValueError(f"unknown properties {sorted(unknown)}; there are {[*NAMES]}")
    chosen = set(NAMES if properties is None else properties)
    return chosen if linear else chosen - {"linear"}
