"""A program that compiles the kernel for Hopper GPUs, on a machine without one.

    python compiled_hopper.py WIDTH

Prints a line of JSON: bytes of shared memory that a program of it takes, for whole and for partial
results of heads of this size in bfloat16.
"""

from __future__ import annotations

import json
import os
import sys

os.environ.pop("TRITON_INTERPRET", None)  # before it is imported

import triton
from triton.backends.compiler import GPUTarget
from triton.experimental.gluon import language as gl
from triton.experimental.gluon._runtime import GluonASTSource

from grainspec_runtime.attention.backends.hopper_kernel import (
    constants,
    modulated_kernel,
    pieces,
    tile_keys,
)


def source(width: int, *, partials: bool) -> GluonASTSource:
    large, small = pieces(width)
    tile = tile_keys(width)
    names = modulated_kernel.arg_names
    types = dict.fromkeys(names, "i32") | {"Q": "*bf16", "scale": "fp32"}
    for kind in "kv":
        for name, columns in ((f"{kind}1_desc", large), (f"{kind}2_desc", small)):
            layout = gl.NVMMASharedLayout.get_default_for([tile, columns], gl.bfloat16)
            types[name] = f"tensordesc<bf16[{tile}, {columns}],{layout!r}>"
    for name in ("Out", "DownOut", "UpSums", "DownSums", "Largest", "Smallest"):
        types[name] = "*fp32" if partials else "*bf16"
    types |= dict.fromkeys(("Queries", "Classes", "Tiles", "Counts"), "*i32")
    types |= dict.fromkeys(("Attract", "Repel"), "*fp32")
    known = constants(width, partials=partials)
    types |= dict.fromkeys(known, "constexpr")
    return GluonASTSource(
        fn=modulated_kernel,
        signature=types,
        constexprs={(names.index(name),): value for name, value in known.items()},
        attrs={
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(names)
            if types[name].startswith("*")
        },
    )


if __name__ == "__main__":
    hopper = GPUTarget("cuda", 90, 32)
    found = [
        triton.compile(
            source(int(sys.argv[1]), partials=partials), target=hopper, options={"num_warps": 4}
        ).metadata.shared
        for partials in (False, True)
    ]
    print(json.dumps(found))
