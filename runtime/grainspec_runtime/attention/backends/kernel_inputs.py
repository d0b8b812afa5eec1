"""Inputs as the fused kernels require them."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from grainspec_runtime.attention.call import AttentionCall


def prepared(call: AttentionCall) -> AttentionCall:
    """The same call for a kernel: rows aligned, the scale not negative, the class order made.

    The strengths of neighbouring rows are neighbours in memory; those of batch entries need not be.

    Head sizes that are no multiple of eight are padded with zeros, so the kernel's output has
    columns to cut off. A call that is prepared already is returned with the same tensors.
    """
    query, scale = call.query, call.scale
    if scale < 0:  # kernels take the larger product for the larger score
        query, scale = -query, -scale
    query, key, value = (aligned(tensor) for tensor in (query, call.key, call.value))
    return replace(
        call,
        query=query,
        key=key,
        value=value,
        scale=scale,
        attract=neighbours(call.attract),
        repel=neighbours(call.repel),
        order=call.class_order(),
    )


def padded_width(width: int) -> int:
    """The head size of a prepared call.

    >>> [padded_width(width) for width in (8, 33, 40)]
    [8, 40, 40]
    """
    return -(-width // 8) * 8


def aligned(tensor: Tensor) -> Tensor:
    """The tensor with rows that begin at multiples of eight elements; copied where needed."""
    strides = tensor.stride()
    regular = strides[-1] == 1 and all(stride % 8 == 0 for stride in strides[:-1])
    reach = strides[2] * tensor.shape[2] < 2**31  # kernels compute 32-bit offsets inside a head
    if regular and reach and tensor.shape[-1] % 8 == 0 and tensor.data_ptr() % 16 == 0:
        return tensor
    width = tensor.shape[-1]
    wider = tensor.new_zeros(*tensor.shape[:-1], padded_width(width))
    wider[..., :width] = tensor
    return wider


def neighbours(tensor_BN: Tensor) -> Tensor:
    """The tensor with a last stride of 1; copied where it is another."""
    return tensor_BN if tensor_BN.stride(-1) == 1 else tensor_BN.contiguous()


def strides_of(*tensors: Tensor) -> list[int]:
    """Batch, head and row strides of each ``[B, H, N, d]`` tensor, in units of eight elements."""
    return [stride // 8 for tensor in tensors for stride in tensor.stride()[:3]]


def batch_strides_of(*tensors: Tensor) -> list[int]:
    """The batch stride of each tensor; 0 where all batch entries share it."""
    return [tensor.stride(0) if len(tensor) > 1 else 0 for tensor in tensors]
