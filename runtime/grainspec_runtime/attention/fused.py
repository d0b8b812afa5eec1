"""The operator as one fused kernel: the backend ``triton``.

The kernel, and why it is exact, are in :mod:`grainspec_runtime.attention.fused_kernel`; here are
its tile shapes and its launch, and the choice between it and two more: one for few keys
(``few_keys_kernel``), one for Hopper GPUs (``hopper_kernel``). Nothing is added up by several
programs, so the same inputs give the same bits every time.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import triton
from torch import Tensor

from grainspec_runtime.attention.class_order import ClassOrder
from grainspec_runtime.attention.dispatch import warn_once
from grainspec_runtime.attention.few_keys_kernel import few_keys_kernel
from grainspec_runtime.attention.fused_kernel import modulated_kernel
from grainspec_runtime.attention.tuning import Tile, key_of, tuned_tile

WIDEST = 256
"""The largest head size."""

DTYPES = (torch.float16, torch.bfloat16, torch.float32)

FEW_KEYS = 512
"""Up to so many keys (a prompt's) they stay where they are: sorting them would not pay."""

NARROW = 64
"""The largest head size for which the portable kernel is as fast with few keys."""

INTERPRETED = not isinstance(modulated_kernel, triton.runtime.JITFunction)
"""Whether ``TRITON_INTERPRET=1`` was set: the kernel then runs on the CPU, slowly, for tests."""

HOPPER_SHARED_MEMORY = 227 * 1024

_UNBUILT: set[tuple[int, torch.dtype]] = set()
"""Head sizes and dtypes for which the kernel for Hopper could not be built."""


def default_tile(width: int, dtype: torch.dtype, shared_memory: int) -> Tile:
    """The fastest of a dozen shapes on an H200, or a smaller one for less shared memory (bytes)."""
    if dtype == torch.float32:  # matrix units would round to TF32, so registers do the work
        return Tile(64, 32, 4, 2) if width <= 128 else Tile(32, 32, 4, 2)
    if width > 128:
        return Tile(128, 32, 8, 2) if shared_memory >= 160 * 1024 else Tile(64, 32, 4, 1)
    if shared_memory < 160 * 1024:
        return Tile(64, 64, 4, 2)
    return Tile(64, 128, 4, 2) if width <= 64 else Tile(128, 128, 8, 3)


def fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    order: ClassOrder,
    attract: Tensor,
    repel: Tensor,
    scale: float,
    soft_share: float | None = None,
    tile: Tile | None = None,
) -> Tensor:
    """See :mod:`grainspec_runtime.attention.operator`; strengths are float32 ``[B, N]``.

    ``soft_share`` is None where no keys are soft; one kernel alone knows of such.
    """
    dtype, asked = query.dtype, query.shape[-1]
    if scale < 0:  # the kernel takes the larger raw score for the larger score
        query, scale = -query, -scale
    if INTERPRETED and dtype == torch.bfloat16:  # which the interpreter multiplies wrongly
        query, key, value = query.float(), key.float(), value.float()
    query, key, value = (_aligned(tensor) for tensor in (query, key, value))
    batch, heads, _, width = query.shape
    keys = key.shape[2]
    memory = HOPPER_SHARED_MEMORY if INTERPRETED else _shared_memory(query.device)
    few = keys <= FEW_KEYS
    narrow, fits = width <= NARROW, width <= 128 or memory >= 160 * 1024
    if soft_share is not None or (tile is None and few and not narrow and fits):
        out = _few_keys(query, key, value, order, attract, repel, soft_share, scale, fits)
        return out[..., :asked].to(dtype)
    if tile is None and not few and not INTERPRETED and _on_hopper(query.device):
        from grainspec_runtime.attention import hopper

        kind = (width, query.dtype)
        if query.dtype in hopper.DTYPES and width <= hopper.WIDEST and kind not in _UNBUILT:
            try:
                out = hopper.hopper(
                    query, key, value, order=order, attract=attract, repel=repel, scale=scale
                )
                return out[..., :asked]
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # Gluon is young: another Triton may not build it
                _UNBUILT.add(kind)
                warn_once(f"attention runs with the portable kernel: {error}")
    out = torch.empty_like(query)
    if tile is None and not INTERPRETED:
        gpu = torch.cuda.get_device_name(query.device)
        tile = tuned_tile(key_of(gpu, query.dtype, width, query.shape[2]))
    tile = tile or default_tile(width, query.dtype, memory)
    index = (order.queries_BS, order.classes_BN, order.keys_BCM, order.positives_BC)
    slots = order.queries_BS.shape[1]
    modulated_kernel[slots // tile.queries, heads, batch](
        query, key, value, out, *index, attract, repel, scale * math.log2(math.e), keys,
        *(stride // 8 for t in (query, key, value, out) for stride in t.stride()[:3]),
        *(t.stride(0) if len(t) > 1 else 0 for t in (*index, attract, repel)),
        WIDTH=width, D=max(32, triton.next_power_of_2(width)),
        BLOCK_N=tile.queries, BLOCK_M=tile.keys,
        PRECISION="ieee" if query.dtype == torch.float32 else "tf32",
        STAGES=tile.stages, num_warps=tile.warps,
    )  # fmt: skip
    return out[..., :asked].to(dtype)


def _few_keys(
    query: Tensor, key: Tensor, value: Tensor, order: ClassOrder,
    attract: Tensor, repel: Tensor, soft_share: float | None, scale: float, fits: bool,
) -> Tensor:  # fmt: skip
    """With the kernel that takes keys as they lie."""
    batch, heads, _, width = query.shape
    keys = key.shape[2]
    padded = max(32, triton.next_power_of_2(width))
    wide = not fits or padded * query.element_size() > 512  # float32 heads beyond 128
    block_keys = min(32 if wide else 128, max(32, triton.next_power_of_2(keys)))
    block = 32 if wide else 64
    out = torch.empty_like(query)
    index = (order.queries_BS, order.classes_BN, order.signs_BCM)
    few_keys_kernel[order.queries_BS.shape[1] // block, heads, batch](
        query, key, value, out, *index, attract, repel,
        soft_share or 0.0, scale * math.log2(math.e), keys,
        *(stride // 8 for t in (query, key, value, out) for stride in t.stride()[:3]),
        *(t.stride(0) if len(t) > 1 else 0 for t in (*index, attract, repel)),
        WIDTH=width, D=padded, BLOCK_N=block, BLOCK_M=block_keys, SINGLE=keys <= block_keys,
        PRECISION="ieee" if query.dtype == torch.float32 else "tf32",
        num_warps=8 if padded > 128 else 4, num_stages=1,
    )  # fmt: skip
    return out


@cache
def _on_hopper(device: torch.device) -> bool:
    """Whether the kernel written for Hopper runs here; it needs a Triton that has Gluon."""
    if torch.cuda.get_device_capability(device) != (9, 0):
        return False
    try:
        from grainspec_runtime.attention import hopper  # noqa: F401
    except Exception as error:  # Gluon is young, and its names move
        warn_once(f"attention runs with the portable kernel: no Gluon ({error})")
        return False
    return True


@cache
def _shared_memory(device: torch.device) -> int:
    """Bytes that one program may use."""
    return int(torch.cuda.get_device_properties(device).shared_memory_per_block_optin)


def _aligned(tensor: Tensor) -> Tensor:
    """The tensor with rows that begin at multiples of eight elements; a copy where they do not."""
    strides = tensor.stride()
    regular = strides[-1] == 1 and all(stride % 8 == 0 for stride in strides[:-1])
    # The kernel reckons in 32 bits inside a head.
    reach = strides[2] * tensor.shape[2] < 2**31
    if regular and reach and tensor.shape[-1] % 8 == 0 and tensor.data_ptr() % 16 == 0:
        return tensor
    width = tensor.shape[-1]
    wider = tensor.new_zeros(*tensor.shape[:-1], -(-width // 8) * 8)
    wider[..., :width] = tensor
    return wider
