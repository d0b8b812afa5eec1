"""The backend ``triton``: one fused pass over the keys, on CUDA GPUs.

Four kernels do the work, and this file says which one runs a call:

- few keys (a prompt's), and soft keys: :mod:`.triton_few_keys_kernel`;
- a long prompt's keys on a Hopper GPU: :mod:`.hopper_text_kernel`;
- many keys on a Hopper GPU: the backend :mod:`.hopper`, where that can run;
- everything else: :mod:`.triton_kernel`, the portable one.

No result is summed by several programs, so the same inputs give bit-identical results. Triton is
imported on the first use only; ``TRITON_INTERPRET=1`` runs the kernels on a CPU, slowly, for tests.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from grainspec_runtime.attention.backends import hopper, hopper_text
from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.backends.fallback import attempt, attempt_by, warn_fallback
from grainspec_runtime.attention.backends.kernel_inputs import prepared
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.partial_result import Partials
from grainspec_runtime.attention.tuning import Tile, key_of, tuned_tile

FEW_KEYS = 256
"""Up to this many keys (a prompt's) the kernel for them is the fastest on every GPU."""

MANY_KEYS = 512
"""From more than this many keys on, copying them into the order of their classes pays."""

LARGE_SHARED_MEMORY = 160 * 1024
"""Bytes of shared memory that the larger tiles need."""

INTERPRETER_SHARED_MEMORY = 227 * 1024
"""What the interpreter is taken to have: as much as a Hopper GPU."""


def run(call: AttentionCall) -> Tensor:
    """Equation (2) or (3) of :mod:`grainspec_runtime.attention.operator`, by kernel."""
    # Triton launches on torch's current device, which can differ from the tensors'.
    with torch.cuda.device_of(call.query):
        out = _launch(_ready(call))
    return out[..., : call.width].to(call.query.dtype)


def partials(call: AttentionCall) -> Partials:
    """The terms of equation (3), by the kernel for Hopper GPUs or the portable one."""
    from grainspec_runtime.attention.backends import triton_kernel

    ready = _ready(call)
    with torch.cuda.device_of(call.query):
        result = None
        if not interpreted() and ready.keys > MANY_KEYS and _can_run(hopper.BACKEND, ready):
            result = attempt_by(hopper.BACKEND, hopper.partials, ready)
        if result is None:
            tile = _tile(ready, _shared_memory(call.query.device))
            result = triton_kernel.launch_partials(ready, tile)
    return replace(result, outputs_SBHNd=result.outputs_SBHNd[..., : call.width])


def _ready(call: AttentionCall) -> AttentionCall:
    ready = prepared(call)
    if interpreted() and call.query.dtype == torch.bfloat16:  # multiplied wrongly there
        query, key, value = ready.query.float(), ready.key.float(), ready.value.float()
        ready = replace(ready, query=query, key=key, value=value)
    return ready


def _launch(call: AttentionCall) -> Tensor:
    from grainspec_runtime.attention.backends import triton_few_keys_kernel, triton_kernel

    if not interpreted() and (out := _by_hopper(call)) is not None:
        return out
    memory = _shared_memory(call.query.device)
    fits = call.width <= 128 or memory >= LARGE_SHARED_MEMORY
    if call.soft is not None or (call.keys <= FEW_KEYS and fits):
        return triton_few_keys_kernel.launch(call, small_tiles=not fits)
    return triton_kernel.launch(call, _tile(call, memory))


def _by_hopper(call: AttentionCall) -> Tensor | None:
    """The result of a kernel for Hopper GPUs, where one is faster and can run."""
    roads = [
        (hopper_text.BACKEND, FEW_KEYS < call.keys <= hopper_text.MOST_KEYS),
        (hopper.BACKEND, call.keys > MANY_KEYS),
    ]
    for road, fast in roads:
        if fast and _can_run(road, call):
            return attempt(road, call)
    return None


def _can_run(road: Backend, call: AttentionCall) -> bool:
    """Whether a kernel for Hopper GPUs can run a call; warns if only Triton's version is old."""
    why_not = road.why_not(*call.requirements)
    if why_not is not None and why_not == hopper.why_no_gluon():
        warn_fallback(road.name, road.fallback, why_not)  # the GPU is a Hopper one
    return why_not is None


def _tile(call: AttentionCall, memory: int) -> Tile:
    tile = None
    if not interpreted():
        gpu = torch.cuda.get_device_name(call.query.device)
        tile = tuned_tile(key_of(gpu, call.query.dtype, call.width, call.queries))
    return tile or default_tile(call.width, call.query.dtype, memory)


def default_tile(width: int, dtype: torch.dtype, shared_memory: int) -> Tile:
    """The fastest of a dozen shapes on an H200, or a smaller one for less shared memory (bytes)."""
    if dtype == torch.float32:  # matrix units would round to TF32, so registers do the work
        return Tile(64, 32, 4, 2) if width <= 128 else Tile(32, 32, 4, 2)
    if width > 128:
        return Tile(128, 32, 8, 2) if shared_memory >= LARGE_SHARED_MEMORY else Tile(64, 32, 4, 1)
    if shared_memory < LARGE_SHARED_MEMORY:
        return Tile(64, 64, 4, 2)
    return Tile(64, 128, 4, 2) if width <= 64 else Tile(128, 128, 8, 3)


def interpreted() -> bool:
    """Whether ``TRITON_INTERPRET=1`` was set when the kernels were imported."""
    from grainspec_runtime.attention.backends import triton_kernel

    return triton_kernel.INTERPRETED


def _shared_memory(device: torch.device) -> int:
    """Bytes that one program may use."""
    return INTERPRETER_SHARED_MEMORY if interpreted() else _shared_memory_of_gpu(device)


@cache
def _shared_memory_of_gpu(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).shared_memory_per_block_optin)  # type: ignore[attr-defined]


@cache
def _probe(device: torch.device, dtype: torch.dtype, width: int) -> str | None:
    try:
        on_cpu = interpreted()
    except Exception as error:  # importing Triton raises errors of its own kinds
        return f"Triton cannot be imported ({error})"
    if device.type == "cpu":
        return None if on_cpu else "`triton` requires a CUDA GPU, not cpu"
    if torch.version.cuda is None:
        return "`triton` is not tested on AMD GPUs"
    if (capability := torch.cuda.get_device_capability(device)) < (8, 0):
        found = ".".join(map(str, capability))
        return f"`triton` requires a GPU of compute capability 8.0 or higher, not {found}"
    return None


BACKEND = Backend(
    "triton",
    run,
    devices=("cuda", "cpu"),  # cpu: through the interpreter
    dtypes=(torch.float16, torch.bfloat16, torch.float32),
    widest=256,
    features=frozenset({"soft", "neutral", "masked"}),
    partials=partials,
    probe=_probe,
    compiles=True,
)
