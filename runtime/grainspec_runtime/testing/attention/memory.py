"""Whether a backend's memory is linear in the numbers of queries and keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from grainspec.testing.broken import Broken
from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.testing.attention.calls import Drawn
from grainspec_runtime.testing.attention.trial import Trial

TOKENS = {"cuda": 8192}
"""Queries and keys of the call, by device; 2048 on others."""


class TooLarge(Exception):
    """A tensor was made that is too large; the operation that made it is named."""


class _LargestOutput(TorchDispatchMode):
    """Raise for the first operation that makes a tensor of more than ``most`` numbers."""

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = most

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor) and tensor.untyped_storage().size() > self.most * 4:
                raise TooLarge(f"`{func}` makes a tensor of {list(tensor.shape)}")
        return out


def check_linear(backend: Backend, device: torch.device, dtype: torch.dtype, width: int) -> None:
    """Raise Broken (``linear``) if a call of N queries and M keys makes anything of size N x M / 2.

    That leaves a backend that holds a block of scores room for it. What is allocated by kernels and
    not by torch is not seen.
    """
    call = large_call(device, dtype, width)
    tokens = call.queries
    try:
        with _LargestOutput(tokens * tokens // 2):
            backend.run(call)
    except TooLarge as error:
        raise Broken(
            "linear",
            f"`{backend.name}`: memory grows as queries times keys: {error}",
            queries=tokens,
            keys=tokens,
        ) from None


def check_large(backend: Backend, device: torch.device, dtype: torch.dtype, width: int) -> None:
    """Raise Broken (``equal``) if rows of a large call, of many blocks, are not by definition."""
    call = large_call(device, dtype, width)
    trial = Trial(backend, Drawn("large", call))
    rows = torch.cat([torch.arange(0, call.queries, 31), torch.tensor([call.queries - 1])])
    some = {
        name: getattr(call, name)[..., rows.to(device)]
        for name in ("query_labels", "attract", "repel")
    }
    part = replace(call, query=call.query[:, :, rows.to(device)], **some)
    expected = Trial(backend, Drawn("large", part))
    expected.compare("equal", trial.result[:, :, rows], expected.expected, "by definition it is")


def large_call(device: torch.device, dtype: torch.dtype, width: int) -> AttentionCall:
    """A call of many queries and keys, of three classes, of which one is not modulated."""
    tokens = TOKENS.get(device.type, 2048)
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 1, 1, tokens, width, generator=generator).to(device, dtype)
    labels = torch.arange(tokens, device=device)[None] % 3
    strength = (labels > 0).float() * torch.rand(tokens, generator=generator).to(device)
    relation = torch.eye(3, dtype=torch.bool, device=device)
    return AttentionCall(q, k, v, labels, labels, relation, strength, strength, width**-0.5)
