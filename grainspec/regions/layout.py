"""A layout: the regions of every pixel of every frame, as bit sets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grainspec.pasted import ShownByRepr, pasted
from grainspec.regions.layout_text import layout_text, read_layout

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
class Layout(ShownByRepr):
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

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Read a layout that is drawn with letters, as the ``repr`` of a small layout is.

        A letter stands for a block of pixels, and for the regions that they are in; a dot for none.
        Raises ValueError for other texts.

        >>> layout = Layout.parse('''
        ... regions left right
        ... frames 0 2
        ... block 8 8
        ... a left
        ... b left right
        ...
        ... ab.
        ...
        ... .ab
        ... ''')
        >>> layout.bits_FHW.shape, layout.areas().tolist()
        ((2, 8, 24), [[128, 64], [128, 64]])
        """
        names, drawn, frames = read_layout(text)
        return cls(names, np.array(drawn, bits_dtype(len(names))), frames)

    def mask(self, name: str) -> Mask:
        """The pixels of a region, bool ``[F, H, W]``; raise ValueError for an unknown name."""
        index = self.bits_FHW.dtype.type(self.names.index(name))
        return np.asarray((self.bits_FHW >> index) & self.bits_FHW.dtype.type(1) != 0)

    def __repr__(self) -> str:
        """An expression that makes the layout, if it is small."""
        text = layout_text(self.names, self.bits_FHW, self.frames)
        if text is not None:
            return f"Layout.parse({pasted(text)})"
        frames, height, width = self.bits_FHW.shape
        digest = hashlib.sha256(np.ascontiguousarray(self.bits_FHW).tobytes()).hexdigest()[:12]
        regions = ", ".join(self.names[:8]) + ", …" * (len(self.names) > 8)
        return f"<Layout of {regions}: frames {frames}, size {width}x{height}, digest {digest}>"

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
