"""Which mask belongs to which frame: numbers in file names, gaps, globs, missing masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from grainspec.regions.layout import Mask
from grainspec.testing.masks.written import (
    Writer,
    Written,
    beside,
    folder_of,
    white,
    write_clip,
)


def _named(names: str, first: int, options: str = "", one: str = "m") -> Writer:
    """Files with the numbers from ``first`` on; ``one`` is the path for a single file."""

    def write(folder: Path, masks: Mask) -> Written:
        numbers = range(first, first + len(masks))
        folder_of(folder / "m", white(masks), names, numbers=numbers)
        return Written(f'masks("{one if len(masks) == 1 else "m"}"{options})')

    return write


def _among_others(path: str, names: str, others: str) -> Writer:
    """The masks of two objects in one folder, of which a glob matches one."""

    def write(folder: Path, masks: Mask) -> Written:
        folder_of(folder / "m", white(masks), names)
        folder_of(folder / "m", white(beside(masks)), others)
        return Written(f'masks("{path}")')

    return write


def _two_numbers(folder: Path, masks: Mask) -> Written:
    """A number that counts frames, and one that counts something else."""
    for number, mask in enumerate(white(masks)):
        folder_of(folder / "m", [mask], f"f{{}}_t{(7 * number + 3) % 100:02}.png", numbers=[number])
    return Written('masks("m/f*_t??.png")')


def _gaps(folder: Path, masks: Mask) -> Written:
    """Masks of every fifth frame, used one after the other."""
    folder_of(folder / "m", white(masks), "m_{}.png", numbers=range(3, 3 + 5 * len(masks), 5))
    return Written('masks("m", in_order)')


def _in_order_from(folder: Path, masks: Mask) -> Written:
    """Masks in order, without those before number 4."""
    numbers = [2, *range(4, 4 + 3 * len(masks), 3)]
    folder_of(folder / "m", white(np.concatenate([~masks[:1], masks])), "m_{}.png", numbers=numbers)
    return Written('masks("m", in_order, from 4)')


def _every_other_frame(folder: Path, masks: Mask) -> Written:
    """The clip has twice as many frames, of which every other one is used."""
    count = 2 * len(masks)
    write_clip(folder, count, masks)
    between = np.stack([masks, ~masks], axis=1).reshape(count, *masks.shape[1:])
    folder_of(folder / "m", white(between))
    video = f'video "clip" {{ frames 0..{count - 1} step 2 }}'
    return Written('masks("m")', video=video)


def _late_frames(folder: Path, masks: Mask) -> Written:
    """The clip's first two frames are not edited, and have other masks."""
    write_clip(folder, len(masks) + 2, masks)
    folder_of(folder / "m", white(np.concatenate([~masks[:1], ~masks[:1], masks])), "{}.png")
    return Written('masks("m")', video=f'video "clip" {{ frames 2..{len(masks) + 1} }}')


def _numbers_of_the_clip(first: int, numbers_from: int, options: str = "") -> Writer:
    """The clip's files begin at ``first``, the masks at ``numbers_from``."""

    def write(folder: Path, masks: Mask) -> Written:
        write_clip(folder, len(masks), masks, first=first)
        numbers = range(numbers_from, numbers_from + len(masks))
        folder_of(folder / "m", white(masks), "{:04}.png", numbers=numbers)
        return Written(f'masks("m"{options})', video='video "clip"')

    return write


def _one_image(folder: Path, masks: Mask) -> Written:
    frame = int(np.flatnonzero(masks.any(axis=(1, 2)))[0])
    folder_of(folder, white(masks[frame : frame + 1]), "left_{}.png", numbers=[7])
    video = f'video "../clip" {{ frames {frame}..{frame} }}'
    return Written(f'masks("left_7.png", from {7 - frame})', masks[frame : frame + 1], video)


def _without(options: str, gone: Callable[[Sequence[int]], Sequence[int]]) -> Writer:
    """Files of which some are missing; ``gone`` chooses them from the frames with the object."""

    def write(folder: Path, masks: Mask) -> Written:
        shown = [int(frame) for frame in np.flatnonzero(masks.any(axis=(1, 2)))]
        missing = [*gone(shown)] if len(shown) > 1 else []
        kept = [frame for frame in range(len(masks)) if frame not in missing]
        drawn = masks.copy()
        drawn[missing] = False
        written = ~masks if "invert" in options else masks
        folder_of(folder / "m", white(written[kept]), numbers=kept)
        return Written(f'masks("m"{options})', drawn)

    return write


def _during(folder: Path, masks: Mask) -> Written:
    """There are masks for the frames with the object only, and the spec says which these are."""
    shown = np.flatnonzero(masks.any(axis=(1, 2)))
    first, last = int(shown[0]), int(shown[-1])
    numbers = range(first, last + 1)
    folder_of(folder / "m", white(masks[first : last + 1]), numbers=numbers)
    return Written(f'masks("m") during {first}..{last}')


def _files_beside(folder: Path, masks: Mask) -> Written:
    """Files that are no masks, although they lie in the same folder."""
    folder_of(folder / "m", white(masks), "{:05}.PNG")
    folder_of(folder / "m", [Image.new("L", (3, 3))], ".00000.png")
    folder_of(folder / "m", [Image.new("L", (3, 3))], "overview.png")
    (folder / "m" / "00000.txt").write_text("exported by a tool")
    (folder / "m" / "00001.json").write_text('{"made by": "a tracker"}')
    (folder / "m" / "00002.npy").write_bytes(b"")
    return Written('masks("m")')


def _folder_that_looks_like_a_glob(folder: Path, masks: Mask) -> Written:
    folder_of(folder / "m[1]", white(masks))
    folder_of(folder / "m1", white(beside(masks)))
    return Written('masks("m[1]")')


def _in_several_folders(folder: Path, masks: Mask) -> Written:
    for number, mask in enumerate(white(masks)):
        folder_of(folder / "m" / f"part_{number // 2}", [mask], "m_{}.png", numbers=[number])
        folder_of(folder / "m" / f"part_{number // 2}" / ".old", [255 - mask], numbers=[number])
    return Written('masks("m/**/*_*.png")')


def _through_links(folder: Path, masks: Mask) -> Written:
    """A link to a folder of the same place is followed, one that leads out of it is not."""
    folder_of(folder / "m" / "store", white(masks), "0_{}.png")
    folder_of(folder / "elsewhere", white(beside(masks)), "0_{}.png")
    (folder / "m" / "link_in").symlink_to(folder / "m" / "store", target_is_directory=True)
    (folder / "m" / "link_out").symlink_to(folder / "elsewhere", target_is_directory=True)
    (folder / "m" / "link_no").write_text("no folder")
    return Written('masks("m/link_*/0_*.png")')


def _around_links(folder: Path, masks: Mask) -> Written:
    """`**` follows no links."""
    folder_of(folder / "m" / "a", white(masks), "0_{}.png")
    (folder / "m" / "b").symlink_to(folder / "m" / "a", target_is_directory=True)
    return Written('masks("m/**/0_*.png")')


def _folder_behind_a_wildcard(folder: Path, masks: Mask) -> Written:
    """A name without wildcards after one with some."""
    folder_of(folder / "m" / "clip_1" / "left", white(masks), "{}.png")
    folder_of(folder / "m" / "clip_1" / "right", white(beside(masks)), "{}.png")
    (folder / "m" / "clip_2").mkdir()
    return Written('masks("m/clip_*/left/*.png")')


def number_formats() -> dict[str, Writer]:
    """Writers of files with numbers in their names."""
    return {
        "names 0, 1, … without padding": _named("{}.png", 0),
        "names from 8 on without padding": _named("{}.png", 8, ", from 8"),
        "names from 1 on": _named("frame_{:03}_obj1.png", 1, ", from 1", one="m/frame_*_obj1.png"),
        "names with a constant number": _named("shot02_{:04}.png", 0, one="m/shot02_*.png"),
        "names with a number behind": _named("{:04}-a_1080p.png", 0, one="m/*-a_1080p.png"),
        "names in upper and lower case": _named("Mask{:02}.Png", 0),
        "names of 20 digits": _named("{:020}.png", 12, ", from 12"),
        "names of two numbers, by a glob": _two_numbers,
        "glob of one object": _among_others("m/a_*.png", "a_{}.png", "b_{}.png"),
        "glob with ?": _among_others("m/a?_*.png", "a1_{}.png", "bb_{}.png"),
        "glob with [ ]": _among_others("m/[!b]_*.png", "a_{}.png", "b_{}.png"),
        "glob through folders": _in_several_folders,
        "glob through a link": _through_links,
        "glob around a link": _around_links,
        "glob with a folder behind": _folder_behind_a_wildcard,
        "folder whose name looks like a glob": _folder_that_looks_like_a_glob,
        "one image": _one_image,
        "gaps, in order": _gaps,
        "in order from 4": _in_order_from,
        "every other frame": _every_other_frame,
        "frames from 2 on": _late_frames,
        "the numbers of a clip from 70 on": _numbers_of_the_clip(70, 70),
        "from 0 on, for a clip from 70 on": _numbers_of_the_clip(70, 0),
        "from 5 on, for a clip from 70 on": _numbers_of_the_clip(70, 5, ", from 5"),
        "in order, for a clip from 70 on": _numbers_of_the_clip(70, 70, ", in_order"),
        "the last mask is missing": _without(", missing empty", lambda shown: shown[-1:]),
        "the first mask is missing": _without(", missing empty", lambda shown: shown[:1]),
        "a mask is missing, inverted": _without(
            ", invert, missing empty", lambda shown: shown[-1:]
        ),
        "masks during some frames": _during,
        "files beside that are no masks": _files_beside,
    }
