"""A layout: the regions of every pixel of every frame, as bit sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.unsignedinteger]

MAX_REGIONS = 64


def bits_dtype(count: int) -> type[np.unsignedinteger]:
    """The smallest unsigned type with a bit for each of ``count`` regions."""
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
        if count <= np.iinfo(dtype).bits:
            return dtype
    raise ValueError(f"there are {count} regions; at most {MAX_REGIONS} are supported")


@dataclass(frozen=True, eq=False)
class Layout:
    """The regions of a clip.

    bits_FHW: unsigned ``[F, H, W]``; bit ``i`` is set where region ``names[i]`` is. frames: the
    source frame number of each of the F frames.
    """

    names: tuple[str, ...]
    bits_FHW: Bits
    frames: tuple[int, ...]

    @classmethod
    def of(cls, masks: dict[str, Mask], frames: Sequence[int] | None = None) -> Layout:
        """Make a layout from bool masks ``[F, H, W]`` by region name.

        >>> import numpy as np
        >>> left = np.zeros((1, 2, 4), bool)
        >>> left[:, :, :2] = True
        >>> Layout.of({"left": left, "right": ~left}).bits_FHW
        array([[[1, 1, 2, 2],
                [1, 1, 2, 2]]], dtype=uint8)
        """
        if not masks:
            raise ValueError("a layout needs at least one region")
        shape = next(iter(masks.values())).shape
        dtype = bits_dtype(len(masks))
        bits = np.zeros(shape, dtype)
        for index, mask in enumerate(masks.values()):
            if mask.shape != shape or mask.ndim != 3:
                raise ValueError(
                    f"all masks must have the same shape [F, H, W]; got {shape} and {mask.shape}"
                )
            bits |= mask.astype(dtype) << dtype(index)
        return cls(tuple(masks), bits, tuple(frames if frames is not None else range(shape[0])))

    def mask(self, name: str) -> Mask:
        """The pixels of a region, bool ``[F, H, W]``; raise ValueError for an unknown name."""
        index = self.bits_FHW.dtype.type(self.names.index(name))
        return np.asarray((self.bits_FHW >> index) & self.bits_FHW.dtype.type(1) != 0)

    def at(self, indices: Sequence[int]) -> Layout:
        """The layout of some of the frames, by index."""
        chosen = list(indices)
        return Layout(self.names, self.bits_FHW[chosen], tuple(self.frames[i] for i in chosen))

    def inside(self, part: tuple[slice, slice]) -> Layout:
        """The layout of these rows and columns."""
        return Layout(self.names, self.bits_FHW[(slice(None), *part)], self.frames)

    def areas(self) -> npt.NDArray[np.int64]:
        """The number of pixels of every region on every frame, ``[F, regions]``."""
        return np.stack([self.mask(name).sum(axis=(1, 2)) for name in self.names], axis=1)
