"""Generate benchmark cases on clips, in which masks for blending alone do not make the edit right.

In :mod:`grainspec_runtime.bench.cases`, figures stand apart, and each edited region contains one
figure. Restoring the source outside of the regions then makes most class, part and place edits
right, whatever the attention does. Here figures walk, cross, hide each other, enter and leave. Up
to three are of one kind; masks are exact, or loose boxes that contain more than their figure. All
figures are sampled anew in every case, also those that must stay as they are, so that only binding
words to regions tells which is which.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from grainspec import Builder, masks
from grainspec.model.algebra import Expression
from grainspec_runtime.bench.case import (
    GRAINS,
    SIZE,
    Case,
    Grain,
    Split,
    edit_place,
    elsewhere,
    looks_of,
    other_looks,
    start,
    words_of,
)
from grainspec_runtime.demo import world
from grainspec_runtime.demo.clips import (
    CLIP_KINDS,
    FRAMES,
    ClipKind,
    ClipScene,
    set_in_motion,
    with_depths,
)
from grainspec_runtime.demo.render import back_to_front
from grainspec_runtime.demo.world import Figure, Scene

GROWN = "4%"
"""How far exact masks of figures are grown, because figures of another kind may be wider."""
_SEEDS: dict[Split, int] = {"tuning": 3_000_000, "held-out": 4_000_000}
_NEAR: tuple[ClipKind, ...] = ("cross", "cross", "cross", "walk", "turn")
"""What happens in clips of figures that are all changed: most of them cross."""
_APART: tuple[ClipKind, ...] = ("walk", "turn")
_CLOSE = {"orange": "yellow", "yellow": "orange"}
"""Colours that no clip has both of: a sample between them says nothing about binding."""


def make_clip_case(index: int, split: Split) -> Case:
    """Generate one case of a split; it depends only on split and ``index``.

    >>> case = make_clip_case(0, "held-out")
    >>> case.grain, case.frames
    ('instance', 17)
    """
    rng = random.Random(_SEEDS[split] + index)
    grain = GRAINS[index % len(GRAINS)]
    return _MAKE[grain](f"clip-{split}-{index:03d}-{grain}", rng)


def _moving(rng: random.Random, count: int, kinds: Sequence[ClipKind]) -> ClipScene:
    """Figures of one kind in different colours, one clearly before the other, in motion."""
    kind, colours = rng.choice(world.KINDS), _colours(rng, count, set())
    places, tall = {2: ((0.3, 0.7), (0.5, 0.64)), 3: ((0.2, 0.5, 0.8), (0.42, 0.5))}[count]
    figures = tuple(
        Figure(
            kind,
            colour,
            x=x + rng.uniform(-0.05, 0.05),
            height=rng.uniform(*tall),
            phase=rng.uniform(0, 6),
            facing=rng.choice((1, -1)),
        )
        for x, colour in zip(places, colours, strict=True)
    )
    scene = Scene(
        figures, rng.choice(world.BACKGROUNDS), rng.choice(world.GROUNDS), rng.uniform(0, 1)
    )
    return set_in_motion(with_depths(scene, rng), rng.choice(kinds), rng)


def _colours(rng: random.Random, count: int, taken: set[str]) -> list[str]:
    """Draw colours that differ clearly from one another and from those ``taken``; take them."""
    drawn: list[str] = []
    for _ in range(count):
        drawn.append(rng.choice([colour for colour in world.COLOURS if colour not in taken]))
        taken.update((drawn[-1], _CLOSE.get(drawn[-1], drawn[-1])))
    return drawn


def _taken(figures: Sequence[Figure]) -> set[str]:
    """The colours of figures, and those close to them."""
    colours = {figure.colour for figure in figures}
    return colours | {_CLOSE[colour] for colour in colours if colour in _CLOSE}


def _new_looks(figure: Figure, rng: random.Random, taken: set[str]) -> Figure:
    """Change a figure's kind and colour to ones that are not taken, nor close to those."""
    changed = other_looks(figure, rng, taken)
    taken.update(_taken((changed,)))
    return changed


class _Draft:
    """A case in the making: its clip and target, and the statements of its spec so far.

    Most clips in which no figure passes another have loose boxes for masks. Where figures hide each
    other, boxes would not say what is whose.
    """

    def __init__(self, clip: ClipScene, target: Scene, rng: random.Random) -> None:
        self.clip, self.target = clip, target
        self.loose = clip.kind in _APART and rng.random() < 0.7
        builder = Builder("clip", frames=(0, FRAMES - 1), size=(SIZE, SIZE))
        self.builder, self.masks = start(builder, clip.first, target, rng)
        if self.loose:
            self.masks = {name: f"{name}.box" for name in self.masks}

    def area(self, number: int) -> Expression:
        """A figure's grown mask, or its box, outside those of the figures in front of it."""
        order = back_to_front(self.clip.first)
        area = self._mask(number)
        for front in order[order.index(number) + 1 :]:
            area = area - self._mask(front)
        return area

    def _mask(self, number: int) -> Expression:
        mask = masks(f"masks/figure{number}")
        return mask if self.loose else mask.grow(GROWN)

    def name_figures(self, words: Callable[[Figure], str] = words_of) -> None:
        """Bind every figure of the target to its words, also those that stay as they are."""
        for number, figure in enumerate(self.target.figures):
            name = f"figure{number}"
            self.builder = self.builder.region(name, self.area(number))
            self.builder = self.builder.instance(name, words(figure))

    def wear(self, number: int, worn: str) -> None:
        """Add a hat or sunglasses to a figure; its whole head may change."""
        name, figure = f"head{number}", f"figure{number}"
        self.masks[name] = f"{figure}.head"
        region: Expression = masks(f"masks/{name}")
        self.builder = self.builder.region(name, region).add(name, worn, of=figure)

    def change_place(self, kind: str) -> None:
        """Edit the background, the ground or both, everywhere outside the figures' regions."""
        figures = [self._mask(number) for number in range(len(self.target.figures))]
        self.builder = edit_place(self.builder, self.target, kind, self.masks, figures)

    def case(self, name: str, grain: Grain, kind: str) -> Case:
        """The finished case. All figures are named by an edit."""
        named = tuple(range(len(self.target.figures)))
        kind = f"{kind}, {self.clip.kind}" + (", boxes" if self.loose else "")
        source = self.clip.first
        return Case(
            *(name, grain, kind, source, self.target, named, self.builder, self.masks), self.clip
        )


def _instance(name: str, rng: random.Random) -> Case:
    """Change all of two or three figures of the same kind, or one of three."""
    kind = rng.choice(("both", "both", "three", "one of three"))
    clip = _moving(rng, 2 if kind == "both" else 3, _NEAR)
    figures = clip.first.figures
    chosen = range(len(figures)) if kind != "one of three" else (rng.randrange(3),)
    taken = _taken([f for number, f in enumerate(figures) if number not in chosen])
    changed = tuple(
        _new_looks(f, rng, taken) if number in chosen else f for number, f in enumerate(figures)
    )
    draft = _Draft(clip, _with(clip, changed), rng)
    draft.name_figures()
    return draft.case(name, "instance", kind)


def _class(name: str, rng: random.Random) -> Case:
    """Change two of three figures to one kind, and the third to another."""
    clip = _moving(rng, 3, _NEAR)
    taken, alone = {f.colour for f in clip.first.figures}, rng.randrange(3)
    first = _new_looks(clip.first.figures[0], rng, taken)
    other = _new_looks(clip.first.figures[0], rng, taken)
    figures = tuple(
        looks_of(f, other if number == alone else first)
        for number, f in enumerate(clip.first.figures)
    )
    draft = _Draft(clip, _with(clip, figures), rng)
    pair = [draft.area(number) for number in range(3) if number != alone]
    draft.builder = (
        draft.builder.region("pair", pair[0] | pair[1])
        .region("third", draft.area(alone))
        .class_("pair", words_of(first))
        .class_("third", words_of(other))
    )
    return draft.case(name, "class", "two classes")


def _part(name: str, rng: random.Random) -> Case:
    """Give a hat or sunglasses to one of two like figures or one to each, or colour both anew."""
    kind = rng.choice(("one each", "one each", "colours", "hat", "sunglasses"))
    clip = _moving(rng, 2, _NEAR)
    figures, chosen = list(clip.first.figures), rng.randrange(2)
    if kind == "colours":
        colours = _colours(rng, 2, {f.colour for f in figures})
        figures = [replace(f, colour=c) for f, c in zip(figures, colours, strict=True)]
        worn = {}
    elif kind == "one each":
        worn = {chosen: "hat", 1 - chosen: "sunglasses"}
    else:
        worn = {chosen: kind}
    figures = [
        replace(f, hat=worn.get(i) == "hat", sunglasses=worn.get(i) == "sunglasses")
        for i, f in enumerate(figures)
    ]
    draft = _Draft(clip, _with(clip, tuple(figures)), rng)
    draft.name_figures()
    for number, thing in worn.items():
        draft.wear(number, thing)
    return draft.case(name, "part", kind)


def _place(name: str, rng: random.Random) -> Case:
    """Change the whole place behind three moving figures, which stay as they are.

    They are sampled anew, too: one wears a hat and another one sunglasses, which must not change
    heads. Two figures, or a ground or background that stays, are kept by the inverted latents
    alone: on the tuning split, most such edits are right without modulation.
    """
    clip = _moving(rng, 3, CLIP_KINDS)
    hat, sunglasses = rng.sample(range(3), 2)
    figures = tuple(
        replace(figure, hat=number == hat, sunglasses=number == sunglasses)
        for number, figure in enumerate(clip.first.figures)
    )
    clip = replace(clip, first=_with(clip, figures))
    draft = _Draft(clip, elsewhere(clip.first, rng, "both"), rng)
    draft.name_figures(world.figure_words)
    draft.change_place("both")
    return draft.case(name, "place", "behind three")


def _several(name: str, rng: random.Random) -> Case:
    """Change all of two or three figures, and the place."""
    clip = _moving(rng, rng.choice((2, 3)), _NEAR)
    kind = rng.choice(("background", "ground", "both"))
    taken: set[str] = set()
    figures = tuple(_new_looks(figure, rng, taken) for figure in clip.first.figures)
    target = elsewhere(_with(clip, figures), rng, kind)
    draft = _Draft(clip, target, rng)
    draft.name_figures()
    draft.change_place(kind)
    return draft.case(name, "several", f"{kind} too")


def _with(clip: ClipScene, figures: tuple[Figure, ...]) -> Scene:
    return replace(clip.first, figures=figures)


_MAKE: dict[Grain, Callable[[str, random.Random], Case]] = {
    "instance": _instance,
    "class": _class,
    "part": _part,
    "place": _place,
    "several": _several,
}
