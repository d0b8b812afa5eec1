"""The blocks of settings of specs and variants."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from typing import Any, get_args

from hypothesis import strategies as st

from grainspec.checks.method import STATEMENTS, TRAITS
from grainspec.model.declaration import owned, settings_of
from grainspec.model.settings.method import Method, MethodName
from grainspec.model.spec import (
    BLOCKS,
    Attention,
    Blend,
    Block,
    Control,
    ControlKind,
    Flow,
    Profile,
    Sampler,
    SamplerMethod,
    Size,
    Video,
)
from grainspec.testing.strategies.regions import read_box
from grainspec.testing.strategies.settings import Settings, settings
from grainspec.testing.strategies.values import BYTES, Rolls

Levels = tuple[int, ...]

_OFTEN = {"attention": (0, 1, 1, 1, 1), "method": (0, 0, 0, 1)}


def blocks(draw: st.DrawFn, levels: Levels) -> dict[str, Any]:
    """Draw some of a spec's blocks but its clip, by their fields."""
    words = [word for word in BLOCKS if word != "video"]
    drawn = _drawn(draw, levels, words, lambda block: block.model)
    if "sampler" in drawn and drawn["sampler"].process == "flow_edit":
        drawn.pop("inject", None)  # which needs an inversion
        drawn.pop("freeu", None)  # which needs a UNet
    method = drawn.get("method")
    without_contradiction(drawn, method)
    if method and TRAITS[method.name].needs_control and not drawn.get("controls"):
        drawn["controls"] = (Control(kind="depth"),)
    if "tracker" in drawn and drawn["tracker"].engine == "colour":
        drawn["tracker"] = drawn["tracker"].replaced({}, weights=None)  # it has none
    return drawn


def blocks_of_variant(draw: st.DrawFn, levels: Levels) -> dict[str, Any]:
    """Draw some of the blocks of a variant, by their fields."""
    chosen = [word for word, block in BLOCKS.items() if block.in_variant]
    return _drawn(draw, levels, chosen, lambda block: block.in_variant)


def without_contradiction(drawn: dict[str, Any], method: Method | None) -> None:
    """Remove what a method does not take from drawn blocks."""
    if method is None:
        return
    for part in set(STATEMENTS) - set(TRAITS[method.name].takes):
        drawn.pop("controls" if part == "control" else part, None)
    if "sampler" in drawn:
        drawn["sampler"] = drawn["sampler"].replaced({}, process=None)


def _drawn(
    draw: st.DrawFn, levels: Levels, words: Collection[str], model: Callable[[Block], Any]
) -> dict[str, Any]:
    present, drawn = Rolls(draw(BYTES)), {}
    for word in words:
        block = BLOCKS[word]
        count = present.of((0, 1, 1, 2) if block.several else _OFTEN.get(word, (0, 1)))
        nodes = [
            model(block).model_validate(_settings(word, levels)(Rolls(draw(BYTES))))
            for _ in range(count)
        ]
        if nodes:
            drawn[block.field] = tuple(nodes) if block.several else nodes[0]
    return drawn


def read_block(rolls: Rolls, word: str, levels: Levels) -> Any:
    """Read a block of a spec."""
    return BLOCKS[word].model.model_validate(_settings(word, levels)(rolls))


@cache
def _settings(word: str, levels: Levels) -> Settings:
    """The settings of a block: any in their ranges, or those that fit each other."""
    special = _SPECIAL.get(word)
    return special(levels) if special else settings(BLOCKS[word].model, levels)


def _attention(levels: Levels) -> Settings:
    shares = (0.5, 1.0, 0.01, 0.25, 0.75, 0.125, 1 / 3, 0.04)
    return settings(
        Attention,
        levels,
        profile=lambda rolls: rolls.of(get_args(Profile)),
        # Shares that whole numbers of a cell's pixels reach exactly, and one that none does.
        threshold=lambda rolls: rolls.of(shares) if rolls.upto(3) else rolls.number(0.01, 1, 0.5),
        unbound=lambda rolls: rolls.number(0, 1),
        until_timestep=lambda rolls: rolls.number(0, 1000),
        decay=lambda rolls: rolls.of((0.0, 1.0, 5.0, rolls.number(0, 10))),
    )


def _flow(levels: Levels) -> Settings:
    dis = settings(Flow, levels, method=None, weights=None)
    raft = settings(Flow, levels, method=None)
    return lambda rolls: (
        dis(rolls) if rolls.of((True, False)) else {**raft(rolls), "method": "raft"}
    )


def _context(_: Levels) -> Settings:
    def context(rolls: Rolls) -> dict[str, Any]:
        overlap, keys, own = rolls.of((4, 0, 1, 2)), rolls.of((2, 0, 1, 3)), 1 + rolls.upto(11)
        return {"frames": overlap + keys + own, "overlap": overlap, "keys": keys}

    return context


def _sampler(levels: Levels) -> Settings:
    own = settings(
        Sampler,
        levels,
        method=lambda rolls: rolls.of(get_args(SamplerMethod)),
        steps=lambda rolls: 1 + rolls.upto(59),
        skip=lambda rolls: rolls.number(0, 0.5, 0.33),
        eta=None,  # only one of the methods takes it
    )

    def sampler(rolls: Rolls) -> dict[str, Any]:
        drawn = own(rolls)
        if drawn.get("steps") == 1 and drawn.get("process") != "invert_and_sample":
            drawn["steps"] = 2  # FlowEdit skips one of them
        return drawn

    return sampler


def _method(levels: Levels) -> Settings:
    draw = settings(Method, levels)

    def method(rolls: Rolls) -> dict[str, Any]:
        name = rolls.of(get_args(MethodName))
        own = {declared.field for declared in owned(settings_of(Method), name).values()}
        return {"name": name, **{key: value for key, value in draw(rolls).items() if key in own}}

    return method


def _control(levels: Levels) -> Settings:
    own = settings(
        Control,
        levels,
        start=lambda rolls: rolls.number(0, 0.5),
        until=lambda rolls: rolls.number(0.6, 1, 1),
    )
    return lambda rolls: {"kind": rolls.of(get_args(ControlKind)), **own(rolls)}


def _blend(levels: Levels) -> Settings:
    # `from` is about latents, `edges` about pixels, and without a space nothing has an effect.
    kinds = (
        settings(Blend, levels, space=lambda rolls: "latents", edges=None),
        settings(Blend, levels, space=lambda rolls: "both"),
        settings(Blend, levels, space=lambda rolls: "pixels", start=None, edges=None),
        settings(Blend, levels, space=lambda rolls: "pixels", start=None, feather=None),
        settings(Blend, levels, space=lambda rolls: "none", start=None, feather=None, edges=None),
    )
    return lambda rolls: rolls.of(kinds)(rolls)


_SPECIAL: dict[str, Callable[[Levels], Settings]] = {
    "attention": _attention,
    "flow": _flow,
    "context": _context,
    "sampler": _sampler,
    "method": _method,
    "control": _control,
    "blend": _blend,
}
"""The blocks whose settings depend on each other, or which have a word before the brace."""

CLIP = settings(
    Video,
    (),
    step=lambda rolls: 1 + rolls.upto(3),
    size=lambda rolls: Size(width=512, height=384),
    crop=lambda rolls: read_box(rolls, ("box",), ((None,),)),
    alpha=lambda rolls: f"#{rolls.upto(0xFFFFFF):06x}",
)
"""The settings of a clip."""
