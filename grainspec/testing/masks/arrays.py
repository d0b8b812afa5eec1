"""Masks as NumPy arrays: types, axes, archives, folders of arrays."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from grainspec.regions.layout import Mask
from grainspec.testing.masks.images import ids, least, levels
from grainspec.testing.masks.written import CLIP, Values, Writer, Written, beside, turns, write_clip


def _npy(values: Callable[[Mask], Values], options: str = "") -> Writer:
    def write(folder: Path, masks: Mask) -> Written:
        np.save(folder / "m.npy", values(masks))
        return Written(f'masks("m.npy"{options})')

    return write


def _two(kind: str, most: int) -> Writer:
    """Two whole numbers of this type: 0 and ``most``."""
    return _npy(lambda masks: np.where(masks, most, 0).astype(kind))


def _files(values: Callable[[Mask], Values], options: str = "", path: str = "m") -> Writer:
    """A folder of one array a frame."""

    def write(folder: Path, masks: Mask) -> Written:
        (folder / "m").mkdir()
        for number, frame in enumerate(values(masks)):
            np.save(folder / "m" / f"mask_{number}.npy", frame)
        return Written(f'masks("{path}"{options})')

    return write


def _archive(masks: Mask, folder: Path) -> None:
    np.savez_compressed(folder / "m.npz", left=masks, right=beside(masks), left_2=~masks)


def _named(folder: Path, masks: Mask) -> Written:
    _archive(masks, folder)
    return Written('masks("m.npz", array "left")')


def _named_inverted(folder: Path, masks: Mask) -> Written:
    _archive(masks, folder)
    return Written('masks("m.npz", array "left_2", invert)')


def _only_one(folder: Path, masks: Mask) -> Written:
    np.savez(folder / "m.npz", np.asarray(masks[..., None]))
    return Written('masks("m.npz")')


def _negative_first(folder: Path, masks: Mask) -> Written:
    """The first mask belongs to frame 2."""
    write_clip(folder, len(masks) + 2, masks)
    np.save(folder / "m.npy", masks)
    video = f'video "clip" {{ frames 2..{len(masks) + 1} }}'
    return Written('masks("m.npy", from -2)', video=video)


def _first(folder: Path, masks: Mask) -> Written:
    """Two masks more, at the beginning, which are not used."""
    np.save(folder / "m.npy", np.concatenate([~masks[:1], ~masks[:1], masks]))
    return Written('masks("m.npy", from 2)')


def _first_in_order(folder: Path, masks: Mask) -> Written:
    np.save(folder / "m.npy", np.concatenate([~masks[:1], masks, ~masks[:1]]))
    return Written('masks("m.npy", in_order, from 1)')


def _more(folder: Path, masks: Mask) -> Written:
    """More masks than frames, which is doubtful."""
    np.save(folder / "m.npy", np.concatenate([masks, ~masks[:1]]))
    return Written('masks("m.npy")', video=CLIP, warnings=frozenset({"G324"}))


def _missing(folder: Path, masks: Mask) -> Written:
    """The last mask is missing, which the spec allows."""
    drawn = masks.copy()
    if len(masks) > 1:
        drawn[-1] = False
        np.save(folder / "m.npy", masks[:-1])
    else:
        np.save(folder / "m.npy", masks)
    return Written('masks("m.npy", missing empty)', drawn)


def _threshold(share: str) -> Writer:
    return _npy(
        lambda masks: levels(masks, least(Fraction(share) / 100, 255), 255).astype(np.uint8),
        f", threshold {share}%",
    )


def _fractions(share: str, kind: type[np.floating], *, invert: bool = False) -> Writer:
    """Probabilities: the threshold itself, and the next smaller number."""

    def values(masks: Mask) -> Values:
        edge = kind(float(Fraction(share) / 100))
        if edge < float(Fraction(share) / 100):  # rounded down by this type
            edge = np.nextafter(edge, kind(1))
        below = np.nextafter(edge, kind(0))
        last = turns(masks) % 3 == 2
        inside, outside = np.where(last, kind(1), edge), np.where(last, kind(0), below)
        drawn = ~masks if invert else masks
        return np.where(drawn, inside, outside).astype(kind)

    return _npy(values, f", threshold {share}%{', invert' * invert}")


def _signed(masks: Mask) -> Values:
    """An index beside its negative, and a number that has the same last bits."""
    others = np.array([-5, 4, 6, 5 + 256, 5 + 65536, 5 + 2**32])
    return np.asarray(np.where(masks, 5, others[turns(masks) % len(others)]))


def array_formats() -> dict[str, Writer]:
    """Writers of arrays, by what they write."""
    formats: dict[str, Writer] = {
        "npy, bool": _npy(lambda masks: masks),
        "npy, bool, inverted": _npy(lambda masks: ~masks, ", invert"),
        "npy, bool, column-major": _npy(np.asfortranarray),
        "npy, big-endian": _npy(lambda masks: masks.astype(">u2") * 65535),
        "npy, [F, 1, H, W]": _npy(lambda masks: masks[:, None]),
        "npy, [F, H, W, 1]": _npy(lambda masks: masks[..., None]),
        "npy, float, 0 and 1": _npy(lambda masks: masks.astype(np.float32)),
        "npy, 0 and 127 of int8": _npy(lambda masks: masks.astype(np.int8) * 127),
        "npy, 127 and 128 of uint8": _npy(lambda masks: np.asarray(127 + masks, np.uint8)),
        "npy, 32767 and 32768 of uint16": _npy(lambda masks: np.asarray(32767 + masks, np.uint16)),
        "npy, index 5 beside -5": _npy(_signed, ", index 5"),
        "npy, index 0": _npy(lambda masks: ids(masks, 0, 9), ", index 0"),
        "npy, index 7, inverted": _npy(lambda masks: ids(~masks, 7, 9), ", index 7, invert"),
        "npz, named": _named,
        "npz, named, inverted": _named_inverted,
        "npz, the only array": _only_one,
        "npy, from 2": _first,
        "npy, from 1, in order": _first_in_order,
        "npy, from -2": _negative_first,
        "npy, more masks than frames": _more,
        "npy, missing empty": _missing,
        "folder of npy": _files(lambda masks: masks),
        "folder of npy, [1, H, W]": _files(lambda masks: masks[:, None]),
        "folder of npy, [H, W, 1]": _files(lambda masks: masks[..., None]),
        "folder of npy, 0 and 255": _files(lambda masks: masks.astype(np.uint8) * 255),
        "glob of npy, index 2": _files(lambda m: ids(m, 2, 9), ", index 2", "m/mask_*.npy"),
        "folder of npy, threshold 40%": _files(
            lambda masks: levels(masks, least(Fraction(40, 100), 255), 255).astype(np.uint8),
            ", threshold 40%",
        ),
    }
    for kind in ("uint8", "int16", "int64", "uint16", "uint32"):
        for most in (1, 255):
            formats[f"npy, {kind}, 0 and {most}"] = _two(kind, most)
    formats["npy, uint16, 0 and 65535"] = _two("uint16", 65535)
    for share in ("7", "20", "100"):
        formats[f"npy, uint8, threshold {share}%"] = _threshold(share)
    for share in ("50", "30", "100"):
        formats[f"npy, float32, threshold {share}%"] = _fractions(share, np.float32)
    formats["npy, float64, threshold 30%"] = _fractions("30", np.float64)
    formats["npy, float16, threshold 25%, inverted"] = _fractions("25", np.float16, invert=True)
    return formats
