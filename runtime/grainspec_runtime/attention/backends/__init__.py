"""All backends of the operator, in one table.

To add a backend: write one module here with a ``BACKEND``, and add it to the table. The contract
test (``tests/runtime/test_backends.py``) then compares it with ``dense``.
"""

from grainspec_runtime.attention.backends import dense, hopper, rows, triton, xformers
from grainspec_runtime.attention.backends.backend import Backend

BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        triton.BACKEND,  # one fused pass, on CUDA GPUs
        hopper.BACKEND,  # the same with a kernel for Hopper GPUs; `triton` prefers it there
        rows.BACKEND,  # a block of rows at a time, on any device
        xformers.BACKEND,  # plain attention of xFormers, one sign at a time
        dense.BACKEND,  # the whole score matrix in float64: the reference
    )
}
"""Backends by name."""
