"""Masks as NumPy arrays that are doubtful: types, shapes, values, archives."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from grainspec.testing.masks.doubts.case import (
    FRAMES,
    HEIGHT,
    ONE,
    OTHER,
    WIDTH,
    Case,
    Write,
    doubtful,
    good,
)
from grainspec.testing.masks.written import Values


def _npy(values: Values, options: str = "") -> Write:
    def write(folder: Path) -> str:
        np.save(folder / "m.npy", values, allow_pickle=True)
        return f'masks("m.npy"{options})'

    return write


def _npz(options: str, **arrays: Values) -> Write:
    def write(folder: Path) -> str:
        with (folder / "m.npz").open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        return f'masks("m.npz"{options})'

    return write


def _files(values: Values, options: str = "") -> Write:
    def write(folder: Path) -> str:
        (folder / "m").mkdir()
        for number, frame in enumerate(values):
            np.save(folder / "m" / f"{number}.npy", frame)
        return f'masks("m"{options})'

    return write


def _bytes(change: Callable[[bytes], bytes]) -> Write:
    """The bytes of a good file, changed."""

    def write(folder: Path) -> str:
        path = folder / "m.npy"
        np.save(path, ONE)
        path.write_bytes(change(path.read_bytes()))
        return 'masks("m.npy")'

    return write


def _larger(content: bytes) -> bytes:
    """A header that claims a frame of many more pixels."""
    return content.replace(f"{HEIGHT}, {WIDTH})".encode(), f"{HEIGHT},9{WIDTH})".encode())


def array_cases() -> dict[str, Case]:
    """Cases about arrays."""
    shares = np.where(ONE, 0.75, 0.25)
    small: Any = ONE[:, ::2, ::2]
    ids = (ONE + 2 * OTHER).astype(np.float32)
    return {
        "one frame without its axis": doubtful(
            "G308", _npy(ONE[0]), f"the shape [{HEIGHT}, {WIDTH}]", "save `masks[None]`"
        ),
        "two channels in front": doubtful("G308", _npy(np.stack([ONE, OTHER], 1)), "`masks[:, 0]`"),
        "two channels behind": doubtful(
            "G308", _npy(np.stack([ONE, OTHER], -1)), "`masks[..., 0]`", "one of the 2 masks"
        ),
        "no frames": doubtful("G308", _npy(ONE[:0])),
        "files of three axes": doubtful("G308", _files(np.stack([ONE, OTHER], 1)), "has the shape"),
        "probabilities": doubtful(
            "G308", _npy(shares), "0.75", "masks(…, threshold 50%)", "> 0.5)"
        ),
        "probabilities, with a threshold": good(_npy(shares, ", threshold 75%"), ONE),
        "probabilities, below the threshold": doubtful(
            "G307", _npy(shares.clip(0, 0.7), ", threshold 75%")
        ),
        "logits": doubtful("G308", _npy(np.where(ONE, 6.0, -8.0)), "-8 to 6", "logits", "> 0)"),
        "small logits": doubtful("G308", _npy(np.where(ONE, 0.5, -0.5)), "logits"),
        "logits, with a threshold": doubtful("G308", _npy(ids * 200 - 1, ", threshold 50%")),
        "fractions up to 255": doubtful("G308", _npy(shares * 255), "Save bool", "> 127)"),
        "0 and 255 as fractions": doubtful("G308", _npy(ONE * 255.0), "> 127)"),
        "0 and 1 as fractions": good(_npy(ONE.astype(np.float64)), ONE),
        "-1 and 1 as fractions": doubtful("G308", _npy(np.where(ONE, 1.0, -1.0)), "logits"),
        "ids as fractions": doubtful(
            "G308", _npy(ids), "the type float", "0, 1 and 2", "astype(int)", "`index 1`"
        ),
        "ids as fractions in files": doubtful("G308", _files(ids), "numpy.load(path).astype(int)"),
        "fractions above 255": doubtful("G308", _npy(np.where(ONE, 300.5, 0.1)), "logits"),
        "fractions slightly above 255": doubtful("G308", _npy(np.where(ONE, 255.5, 0.1)), "logits"),
        "NaN": doubtful("G308", _npy(np.where(ONE, np.nan, 0)), "NaN or infinity"),
        "infinity": doubtful("G308", _npy(np.where(ONE, np.inf, 0), ", threshold 50%"), "infinity"),
        "an index of fractions": doubtful("G308", _npy(ids, ", index 1"), "the type float32"),
        "complex numbers": doubtful("G308", _npy(ONE * 1j), "the type complex128"),
        "texts": doubtful("G308", _npy(ONE.astype("U5")), "the type <U5"),
        "objects": doubtful("G308", _npy(ONE.astype(object)), "never loaded", "astype(bool)"),
        "a pickle": doubtful("G308", _bytes(lambda npy: pickle.dumps(npy)), "never loaded"),
        "a truncated array": doubtful("G308", _bytes(lambda npy: npy[:-9])),
        "an empty file": doubtful("G308", _bytes(lambda npy: b"")),
        "a claim of many pixels": doubtful("G306", _bytes(_larger), "another aspect ratio"),
        "another version": doubtful("G308", _bytes(lambda npy: npy[:6] + b"\x02" + npy[7:])),
        "several arrays": doubtful(
            "G304", _npz("", left=ONE, right=OTHER), "contains 2 arrays", 'array "left"', "`right`"
        ),
        "no such array": doubtful(
            "G304", _npz(', array "lefft"', left=ONE, right=OTHER), "`lefft`", "`left`"
        ),
        "an array of several": good(_npz(', array "right"', left=ONE, right=OTHER), OTHER),
        "the name of the only array": good(_npz(', array "left"', left=ONE), ONE),
        "another name than the only array": doubtful("G304", _npz(', array "a"', left=ONE)),
        "objects in an archive": doubtful(
            "G308", _npz("", left=ONE.astype(object)), "never loaded"
        ),
        "no such number": doubtful("G307", _npy(ONE + 2 * OTHER, ", index 5"), "0, 1 and 2"),
        "only False": doubtful("G307", _npy(ONE & False), "all black"),
        "only True, inverted": doubtful("G307", _npy(ONE | True, ", invert"), "all white"),
        "too few frames": doubtful("G305", _npy(ONE[:2]), "frame 2 has no mask"),
        "too many frames": doubtful(
            "G324", _npy(np.concatenate([ONE, ONE[:1]])), "has 4 masks, and the clip 3 frames"
        ),
        "too many frames, in order": good(_npy(np.concatenate([ONE, ONE[:1]]), ", in_order"), ONE),
        "a small array": doubtful("G306", _npy(small), "80x60", "masks(…, scaled)"),
        "a small array, scaled": good(_npy(small, ", scaled"), small.repeat(2, 1).repeat(2, 2)),
        "colour of an array": doubtful("G205", _npy(ONE, ', colour "#ffffff"'), "`colour`"),
        "alpha of an array": doubtful("G205", _npy(ONE, ", alpha"), "`threshold`, `index`"),
        "array of an array": doubtful("G205", _npy(ONE, ', array "a"'), "`array` does not apply"),
        "label of files": doubtful("G205", _files(ONE, ', label "a"'), "`label` does not apply"),
        "two values of 16 bits": good(_npy(ONE.astype(np.uint16) * 65535), ONE),
        "an array of many frames": good(
            _npy(np.concatenate([ONE, np.zeros((FRAMES, HEIGHT, WIDTH), bool)]), ", in_order"), ONE
        ),
    }
