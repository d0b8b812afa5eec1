"""One sweep through the clip, forwards or backwards: every object from its prompts on."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from grainspec_runtime.tracking.engines.colour.appearance import density, spread
from grainspec_runtime.tracking.engines.colour.motion import Flow, grid, sampled
from grainspec_runtime.tracking.engines.colour.picture import Floats, Picture

P = dict(sc=6.0, sx=7.0, sb=30.0, sw=12.0, ao=0.02, ab=0.02, wq=0.6, trust=0.6, ss=10.0, reach=14)


@dataclass
class Samples:
    """Regions of one frame, as an example of how a label looks. at_N2 is relative to the object."""

    lab_N3: Floats
    wide_N3: Floats
    at_N2: Floats
    weight_N: Floats


@dataclass
class Known:
    """What is known of an object on the way: its look, where it is, how fast it moves."""

    anchor: Samples
    recent: Samples
    centre: Floats
    speed: Floats
    area: float
    lost: int = 0
    base: float = 1.0


def samples(pic: Picture, chance_S: Floats, centre: Floats) -> Samples:
    r = pic.regions
    keep = chance_S > 0.5
    return Samples(
        r.lab_S3[keep], r.wide_S3[keep], r.xy_S2[keep] - centre, (r.area_S * chance_S)[keep]
    )


def centre_of(pic: Picture, chance_S: Floats) -> Floats:
    w = pic.regions.area_S * chance_S
    return np.asarray((pic.regions.xy_S2 * w[:, None]).sum(0) / max(w.sum(), 1e-6), np.float32)


def start(pic: Picture, chance_S: Floats) -> Known:
    c = centre_of(pic, chance_S)
    s = samples(pic, chance_S, c)
    k = Known(s, s, c, np.zeros(2, np.float32), float(s.weight_N.sum()))
    k.base = float(likeness(pic, s, c[None])[0])
    return k


def likeness(pic: Picture, s: Samples, centres_M2: Floats) -> Floats:
    """How much of an object is seen if it is centred there: 0 to 1, ``[M]``."""
    if not len(s.lab_N3):
        return np.zeros(len(centres_M2), np.float32)
    H, W = pic.size
    at = np.rint(centres_M2[:, None] + s.at_N2).astype(np.int32)
    inside = (at[..., 0] >= 0) & (at[..., 0] < W) & (at[..., 1] >= 0) & (at[..., 1] < H)
    lab = pic.lab_HW3[np.clip(at[..., 1], 0, H - 1), np.clip(at[..., 0], 0, W - 1)]
    gap = np.square(lab - s.lab_N3).sum(-1)
    alike = np.exp(gap * (-0.5 / P["ss"] ** 2)) * inside
    return alike @ (s.weight_N / s.weight_N.sum())


def locate(pic: Picture, known: Known, guess: Floats) -> tuple[Floats, float]:
    R = int(P["reach"])
    o = np.arange(-R, R + 1, 2, dtype=np.float32)
    shifts = np.stack(np.meshgrid(o, o), -1).reshape(-1, 2)
    fine = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2).astype(np.float32)
    best = guess
    for cand, sig in ((shifts, R * 0.6), (fine, R)):
        c = best + cand
        v = 0.5 * likeness(pic, known.anchor, c) + 0.5 * likeness(pic, known.recent, c)
        v = v - 0.15 * np.square(np.linalg.norm(c - guess, axis=1) / sig) * 0.5
        best = c[int(v.argmax())]
    now = max(likeness(pic, s, best[None])[0] for s in (known.anchor, known.recent))
    return best, float(now)


def search(pic: Picture, known: Known) -> tuple[Floats, float]:
    H, W = pic.size
    ys, xs = np.mgrid[2:H:4, 2:W:4].astype(np.float32)
    c = np.stack([xs.ravel(), ys.ravel()], 1)
    a = known.anchor
    big = np.argsort(-a.weight_N, kind="stable")[:80]
    few = Samples(a.lab_N3[big], a.wide_N3[big], a.at_N2[big], a.weight_N[big])
    v = likeness(pic, few, c)
    best = c[int(v.argmax())]
    return locate(pic, known, best)


@dataclass
class Step:
    chance_SK: Floats
    labels_HW: Floats
    confidence_K: Floats


@dataclass
class Sweep:
    """The state of one sweep. Objects without a prompt so far are None in ``known``."""

    flow: Flow
    count: int
    known: list[Known | None] = field(default_factory=list)
    before: Picture | None = None
    chance_SK: Floats | None = None
    ground: Samples | None = None

    def __post_init__(self) -> None:
        self.known = [None] * self.count

    def begin(
        self, pic: Picture, chance_SK: Floats, which: list[int], confidence_K: Floats
    ) -> Floats:
        """Prompts on this frame: objects in `which` get their chances replaced."""
        for k in which:
            self.known[k] = start(pic, chance_SK[:, k + 1])
        self._remember(pic, chance_SK)
        conf = confidence_K.copy()
        conf[which] = 0.95
        for k in which:
            if not chance_SK[:, k + 1].max() > 0.5:
                conf[k] = 0
        return conf

    def _remember(self, pic: Picture, chance_SK: Floats) -> None:
        self.before, self.chance_SK = pic, chance_SK
        r = pic.regions
        keep = chance_SK[:, 0] > 0.5
        new = Samples(r.lab_S3[keep], r.wide_S3[keep], r.xy_S2[keep], r.area_S[keep])
        self.ground = new

    def step(self, pic: Picture) -> tuple[Floats, Floats]:
        r = pic.regions
        S = len(r)
        if self.before is None:
            chance = np.zeros((S, self.count + 1), np.float32)
            chance[:, 0] = 1
            return chance, np.zeros(self.count, np.float32)
        back = self.flow(pic, self.before)
        forth = self.flow(self.before, pic)
        at = grid(pic.size) + back
        wrong = np.linalg.norm(sampled(forth, at) + back, axis=-1)
        trust = np.exp(-0.5 * np.square(wrong / 2))
        prob = self.chance_SK[self.before.regions.index_HW]
        Q = r.mean(sampled(prob, at) * trust[..., None])
        T = r.mean(trust[..., None])[:, 0]
        Q = Q + (1 - T)[:, None] / (self.count + 1)
        xb = sampled(forth, grid(pic.size))
        L = np.full((S, self.count + 1), -20.0, np.float32)
        fb = lambda s, sx: np.concatenate([s[0] / P["sc"], s[1] / P["sw"], s[2] / sx], 1)
        here = fb((r.lab_S3, r.wide_S3, r.xy_S2), P["sb"])
        place = r.xy_S2 / P["sb"]
        g = self.ground
        dens = density(here, fb((g.lab_N3, g.wide_N3, g.at_N2), P["sb"]), g.weight_N)
        near = density(place, g.at_N2 / P["sb"], g.weight_N) + 1e-3
        L[:, 0] = np.log(dens / near * 3 + P["ab"])
        seen = np.zeros(self.count, np.float32)
        for k, known in enumerate(self.known):
            if known is None:
                continue
            mine = self.chance_SK[:, k + 1] * self.before.regions.area_S
            if known.lost == 0 and mine.sum() > 0:
                mv = self.before.regions.mean(forth)
                w = mine * (self.chance_SK[:, k + 1] > 0.5) + 1e-9
                order = [np.argsort(mv[:, i], kind="stable") for i in (0, 1)]
                guess = known.centre + np.float32(
                    [
                        mv[o[np.searchsorted(np.cumsum(w[o]), w.sum() / 2)], i]
                        for i, o in enumerate(order)
                    ]
                )
                spot, seen[k] = locate(pic, known, guess)
            else:
                spot, seen[k] = search(pic, known)
                if seen[k] < 0.6 * known.base:
                    known.lost += 1
                    continue
                known.speed[:] = 0
            known.speed = 0.5 * known.speed + 0.5 * (spot - known.centre)
            known.centre = spot
            near_o = 0
            d = np.zeros(S, np.float32)
            for s in (known.anchor, known.recent):
                f = fb((s.lab_N3, s.wide_N3 * 0, s.at_N2), P["sx"])
                q = fb((r.lab_S3, r.wide_S3 * 0, r.xy_S2 - spot), P["sx"])
                n = density((r.xy_S2 - spot) / P["sx"], s.at_N2 / P["sx"], s.weight_N)
                d = d + density(q, f, s.weight_N) / (n + 60)
            L[:, k + 1] = np.log(d * 1.5 + P["ao"] * 0.1)
        L = L + P["wq"] * np.log(Q + 0.02)
        for k, known in enumerate(self.known):
            if known is None or known.lost:
                if known is None or seen[k] < 0.6 * known.base:
                    L[:, k + 1] = -30
                else:
                    L[:, k + 1] -= P["wq"] * np.log(Q[:, k + 1] + 0.02)
                    known.lost = 0
        own = np.exp(L - L.max(1, keepdims=True))
        own /= own.sum(1, keepdims=True)
        a, b = r.pairs_E2.T
        gap = np.linalg.norm(r.lab_S3[a] - r.lab_S3[b], axis=1)
        bond = r.border_E / 6 * np.exp(-0.5 * np.square(gap / 6))
        x = spread(r, own.astype(np.float32), bond, P["trust"], 20)
        x = x * x
        x /= x.sum(1, keepdims=True)
        conf = np.zeros(self.count, np.float32)
        for k, known in enumerate(self.known):
            if known is None:
                continue
            w = r.area_S * x[:, k + 1] * (x[:, k + 1] > 0.5)
            area = float(w.sum())
            sure = float((w * x[:, k + 1]).sum() / max(area, 1e-6))
            conf[k] = sure * min(1.0, seen[k] / known.base) * min(1.0, (area / known.area) ** 0.5)
            if area < 0.04 * known.area:
                x[:, 0] += x[:, k + 1]
                x[:, k + 1] = 0
                known.lost += 1
                conf[k] = 0.1
            elif conf[k] > 0.7:
                known.recent = samples(pic, x[:, k + 1], known.centre)
        self._remember(pic, x)
        return x, conf
