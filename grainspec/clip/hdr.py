"""Bring HDR and wide-gamut pictures to standard dynamic range and BT.709's colours.

Four steps, on display-referred light as ITU-R BT.2390 describes them:

1. The signal becomes light in cd/m²: PQ by its EOTF (BT.2100, table 4); HLG by its inverse OETF and
   the OOTF of a display of 1000 cd/m² (BT.2100, table 5); SDR by gamma 2.4 (BT.1886), its white
   being the 203 cd/m² of HDR's reference white (BT.2408).
2. HDR light is rolled off to a peak of 203 cd/m²: the EETF of BT.2390-11, section 5.4.1, applied to
   the largest of a pixel's three components, so that hues stay. Light below some 90 cd/m² keeps its
   value. The source's peak is taken to be 1000 cd/m²; brighter light is white.
3. The primaries become BT.709's (BT.2087); what lies outside its gamut is clipped.
4. Light becomes an 8-bit signal, by the inverse of BT.1886.

Dimensions: H rows, W columns.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

PQ, HLG = 16, 18
"""FFmpeg's numbers of the two HDR transfer functions (ITU-T H.273)."""
BT2020, P3_DCI, P3_D65 = 9, 11, 12
"""FFmpeg's numbers of the wide primaries that are converted."""

WHITE = 203.0
"""Light of SDR's white, and of HDR's reference white, in cd/m²."""
PEAK = 1000.0
"""The brightest light of the source that is told from others, in cd/m²."""

Light = npt.NDArray[np.float32]

_TO_BT709 = {
    BT2020: [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ],
    P3_DCI: [
        [1.157516, -0.154962, -0.002554],
        [-0.041500, 1.045568, -0.004068],
        [-0.018050, -0.078578, 1.096628],
    ],
    P3_D65: [
        [1.224940, -0.224940, 0.0],
        [-0.042057, 1.042057, 0.0],
        [-0.019638, -0.078636, 1.098274],
    ],
}
"""From linear RGB with these primaries to BT.709's; white stays white (Bradford)."""


def to_sdr(
    signal_HW3: npt.NDArray[np.uint16], transfer: int, primaries: int
) -> npt.NDArray[np.uint8]:
    """Convert a full-range 16-bit RGB picture to 8-bit RGB of BT.709.

    >>> to_sdr(np.array([[[0, 0, 0], [38000, 38000, 38000]]], np.uint16), PQ, BT2020).tolist()
    [[[0, 0, 0], [230, 230, 230]]]
    """
    light = _light(signal_HW3, transfer)
    if transfer in (PQ, HLG):
        light *= _gain(light.max(axis=2))[..., None]
    light /= WHITE
    if primaries in _TO_BT709:
        light = light @ np.array(_TO_BT709[primaries], np.float32).T
    signal = np.clip(light, 0, 1) ** np.float32(1 / 2.4)
    return np.asarray(np.rint(signal * 255), np.uint8)


def _light(signal: npt.NDArray[np.uint16], transfer: int) -> Light:
    """The light that a display shows for a signal, in cd/m²."""
    scene = _table(transfer)[signal]
    if transfer != HLG:
        return scene
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    return np.asarray(PEAK * np.maximum(luminance, 1e-9)[..., None] ** np.float32(0.2) * scene)


@cache
def _table(transfer: int) -> Light:
    """Light for each 16-bit value: in cd/m², but for HLG as a share of the scene's peak."""
    signal = np.linspace(0, 1, 65536)
    if transfer == PQ:
        light = _pq_light(signal)
    elif transfer == HLG:
        a = 0.17883277
        b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    else:
        light = WHITE * signal**2.4
    return np.asarray(light, np.float32)


@cache
def _roll_off() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Light in cd/m², and by what it is multiplied."""
    white, peak = (float(_pq_signal(np.float64(light))) for light in (WHITE, PEAK))
    e1 = np.linspace(0, 1, 4096)
    most = white / peak
    knee = 1.5 * most - 0.5
    t = np.clip((e1 - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee)
    e2 = np.where(e1 < knee, e1, spline + (-2 * t**3 + 3 * t**2) * most)
    before, after = _pq_light(e1 * peak), _pq_light(e2 * peak)
    gain = np.divide(after, before, out=np.ones_like(after), where=before > 0)
    return before, gain


def _gain(light: Light) -> Light:
    before, gain = _roll_off()
    # beyond the peak, all light becomes white
    return np.asarray(
        np.where(
            light > before[-1],
            WHITE / np.maximum(light, 1e-9),
            np.interp(light, before, gain),
        ),
        np.float32,
    )


_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128


def _pq_light(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """PQ's EOTF: from a signal of 0 to 1 to light in cd/m²."""
    power = signal ** (1 / _M2)
    share = np.maximum(power - _C1, 0) / (_C2 - _C3 * power)
    return np.asarray(10_000 * share ** (1 / _M1))


def _pq_signal(light: npt.NDArray[np.float64] | np.float64) -> npt.NDArray[np.float64]:
    """The inverse of PQ's EOTF."""
    power = (np.maximum(light, 0) / 10_000) ** _M1
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)
