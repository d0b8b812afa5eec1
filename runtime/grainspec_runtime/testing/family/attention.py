"""What a family's attention promises: every latent token is modulated as its class says.

Dimensions: P passes, F frames, N tokens of a frame, T text tokens, H heads, d head size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grainspec.model.spec import Modulation
from grainspec.plan.mask_plan import MaskPlan
from grainspec.testing.broken import Broken
from grainspec_runtime.modulation.layers import Attend, AttentionLayer
from grainspec_runtime.testing.family.definition import Arguments, Pass, cause_of, layer_attention
from grainspec_runtime.testing.family.layers import probed
from grainspec_runtime.testing.family.loaded import CLOSE
from grainspec_runtime.testing.family.observe import (
    ByDefinition,
    Received,
    at_layer,
)
from grainspec_runtime.testing.family.registry import family_property, require
from grainspec_runtime.testing.family.subject import (
    STEPS,
    TARGET,
    TIMESTEP,
    Subject,
    unmodulated,
)

SETTINGS = (
    "until 100% decay 1",
    "until 100% decay 2 frames each",
    "until 100% decay 1 frames first_last unbound 0.3",
    "until 100% decay 3 frames sparse_causal",
)
"""Settings of attention for which every kind of layer is compared with the definition."""

OF_TRANSFORMERS = (
    "until 100% decay 1",
    "until 100% decay 2 unbound 0.3",
    "until 100% decay 1 columns 0.4",
    "until 100% decay 3 layers 0",
)
"""The same for video transformers, whose attention has one scope."""

TOLERANCE = 1e-4
"""Of a layer's output, for values of a normal distribution."""


def settings_of(subject: Subject) -> tuple[str, ...]:
    """Return the settings for a kind of denoiser."""
    return OF_TRANSFORMERS if subject.one_sequence else SETTINGS


@family_property("stock")
def stock(subject: Subject) -> None:
    """Without a plan, every frame for itself, it is the stock network."""
    attention = subject.attention(None, unmodulated(subject.plan()))
    installed = subject.prediction(attention, (TARGET,))
    away = (installed - subject.prediction(None, (TARGET,))).abs().max()
    require(
        away <= 2 * CLOSE,
        "stock",
        f"without a plan, predictions are {away:.2g} from the stock ones",
    )


@family_property("labels")
def labels(subject: Subject) -> None:
    """Every kind of layer computes the operator with the plan's classes, strengths and words."""
    seen = probed(subject).seen
    attended = subject.backbone.attended_levels
    single = f"until 100% decay 1 levels {attended[-1]}"
    for settings in (*settings_of(subject), single):
        plan = subject.plan(settings)
        attention = subject.attention(plan, plan.attention)
        attention.begin_step(0, STEPS, TIMESTEP)
        for layer, received in _one_of_each(seen):
            q, k, v = drawn(received, subject.seed)
            out = _computed(attention, layer, q, k, v)
            _compare_layer(plan, layer, out, (q, k, v), Pass(0, STEPS, TIMESTEP), settings)


def _one_of_each(seen: dict[AttentionLayer, Received]) -> Iterator[tuple[AttentionLayer, Received]]:
    """A layer of each level and kind; of transformers, one of block 0 and one of another."""
    known: set[tuple[int, str, bool]] = set()
    for layer, received in seen.items():
        key = (layer.level, layer.kind, bool(layer.block))
        if layer.kind != "joint" and key not in known:
            known.add(key)
            yield layer, received


def drawn(received: Received, seed: int) -> Received:
    """Queries, keys and values of a layer's shapes, of a normal distribution."""
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(tensor.shape, generator=generator) for tensor in received)
    return Received(2 * q, k, v)


def _computed(attention: Any, layer: AttentionLayer, *received: Tensor) -> Tensor:
    kind = attention.cross_attention if layer.kind == "cross" else attention.self_attention
    with torch.no_grad():
        out: Tensor = kind(layer, *received)
    return out


def _compare_layer(
    plan: MaskPlan, layer: AttentionLayer, out: Tensor, received: Any, at: Pass, settings: str
) -> None:
    q, k, v = (tensor.double().numpy() for tensor in received)
    kind: Any = layer.kind
    arguments: Arguments = (plan, layer.level, kind, q, k, v, at_layer(plan, layer, at))
    expected, found = layer_attention(*arguments), out.double().numpy()
    away = np.abs(expected - found)
    if away.max() <= TOLERANCE:
        return
    worst = np.unravel_index(away.argmax(), away.shape)
    row, token = int(worst[0]), int(worst[2])
    labels_FHW = plan.levels[layer.level].labels_FHW
    frames, of_frame = len(labels_FHW), labels_FHW[0].size
    passes = len(found) * found.shape[2] // labels_FHW.size
    index, frame = divmod(row, frames)
    if found.shape[2] > of_frame:  # all frames are one sequence
        index, (frame, token) = row, divmod(token, of_frame)
    place = divmod(token, labels_FHW.shape[2])
    label = int(labels_FHW[frame][place])
    edits = [plan.edits[e].region for e in np.flatnonzero(plan.members_CE[label])]
    cause = cause_of(found, TOLERANCE, arguments)
    raise Broken(
        "labels",
        f"the layer {layer.name} gives {found[worst]:.5g}, but by definition it "
        f"is {expected[worst]:.5g} for a latent token of "
        f"{' and '.join(edits) or 'no edit'}{'; the cause: ' if cause else ''}{cause}",
        level=layer.level,
        kind=layer.kind,
        pass_="conditional" if index == passes - 1 else "unconditional",
        frame=frame,
        row=place[0],
        column=place[1],
        attention=settings,
    )


@family_property("conditional")
def conditional(subject: Subject) -> None:
    """A plan acts in the conditional pass alone, or in the only pass, and while it is active."""
    name, plan, count = "conditional", subject.plan(), subject.latent_frames
    settings = plan.attention
    without, with_plan = subject.attention(None, settings), subject.attention(plan, settings)
    for attention in (without, with_plan):
        attention.begin_step(0, STEPS, TIMESTEP)
    for layer, received in _one_of_each(probed(subject).seen):
        inputs = drawn(received, subject.seed)
        before = _computed(without, layer, *inputs)
        after = _computed(with_plan, layer, *inputs)
        rows = subject.rows
        require(
            torch.equal(after[:rows], before[:rows]),
            name,
            "the plan changes the unconditional pass",
            layer=layer.name,
        )
        alone = _computed(with_plan, layer, *(tensor[rows:] for tensor in inputs))
        require(
            torch.allclose(alone, after[rows:], atol=CLOSE),
            name,
            "without guidance, the only pass is not modulated as the conditional one is with it",
            layer=layer.name,
        )
    before = subject.prediction(without)
    after = subject.prediction(with_plan)
    away = (after[:count] - before[:count]).abs().max()
    require(away <= CLOSE, name, f"unconditional predictions change by {away:.2g} under the plan")
    away = (after[count:] - before[count:]).abs().max()
    require(away > 1e-4, name, "conditional predictions do not change under the plan")
    late = subject.attention(_with(plan, settings.replaced({}, until_timestep=1e6)), settings)
    require(
        torch.equal(subject.prediction(late), before),
        name,
        "the plan acts at a timestep below its `until_timestep`",
    )


def _with(plan: MaskPlan, settings: Modulation) -> MaskPlan:
    return replace(plan, attention=settings, _cache={})


@family_property("steps")
def steps(subject: Subject) -> None:
    """A plan acts at the steps of `until`, as strongly as the schedule says."""
    seen = probed(subject).seen
    for until, when in UNTIL.items():
        plan = subject.plan(f"until {until} decay 2")
        attention = subject.attention(plan, plan.attention)
        for step, timestep in when:
            attention.begin_step(step, STEPS, timestep)
            for layer, received in list(_one_of_each(seen))[:2]:
                inputs = drawn(received, subject.seed)
                out = _computed(attention, layer, *inputs)
                at = Pass(step, STEPS, timestep)
                settings = f"until {until} decay 2, step {step} of {STEPS} at {timestep:g}"
                try:
                    _compare_layer(plan, layer, out, inputs, at, settings)
                except Broken as broken:
                    message = str(broken).removeprefix("labels: ").rpartition(" (level")[0]
                    raise Broken("steps", message, **broken.where) from None


UNTIL = {
    "30%": ((0, 900.0), (2, 700.0), (3, 600.0), (9, 1.0), (1, 800.0)),
    "50%": ((4, 500.0), (5, 400.0)),
    "1%": ((0, 900.0), (1, 800.0)),
}
"""Steps and timesteps to look at, the last modulated step and the one after it among them."""


@family_property("unmodulated")
def unmodulated_plan(subject: Subject) -> None:
    """A plan whose strengths are 0 changes nothing."""
    plan = subject.plan("until 100% cross 0 self 0")
    before = subject.prediction(subject.attention(None, plan.attention))
    away = (subject.prediction(subject.attention(plan, plan.attention)) - before).abs().max()
    require(
        away <= 2 * CLOSE,
        "unmodulated",
        f"with `cross 0 self 0`, predictions change by {away:.2g}",
    )


class _Recorder:
    """Notes every layer, and how far its result is from what ``attend`` computes."""

    def __init__(self) -> None:
        self.steps: list[bool] = []
        self.layers: dict[AttentionLayer, int] = {}
        self.away: dict[str, float] = {}

    def begin_step(self, step: int, steps: int, *, modulated: bool) -> None:
        """Note whether the step is modulated."""
        self.steps.append(modulated)

    def record(
        self, layer: AttentionLayer, attend: Attend, query: Tensor, key: Tensor, out: Tensor
    ) -> None:
        """Note the layer; its values are not given, so those of two computations are compared."""
        self.layers[layer] = query.shape[2]
        values = torch.ones_like(key)
        for modulated in (False, True):  # weights of a softmax sum to 1
            away = (attend(query, key, values, modulated=modulated) - 1).abs().max()
            shape = attend(query, key, values, modulated=modulated).shape
            worst = float(away) if shape == out.shape else float("inf")
            self.away[layer.name] = max(worst, self.away.get(layer.name, 0.0))


@family_property("recorder")
def recorder(subject: Subject) -> None:
    """A recorder sees every layer and every step, and changes nothing."""
    name, plan = "recorder", subject.plan()
    noted = _Recorder()
    with_it = subject.attention(plan, plan.attention, recorder=noted)
    recorded = subject.prediction(with_it)
    before = subject.prediction(subject.attention(plan, plan.attention))
    require(torch.equal(recorded, before), name, "a recorder changes the predictions")
    require(noted.steps == [True], name, f"the steps are told as modulated: {noted.steps}")
    seen = {layer: received.query.shape[2] for layer, received in probed(subject).seen.items()}
    missing = [layer.name for layer in seen if layer not in noted.layers]
    require(not missing, name, f"the layer {missing[:1]} is not recorded")
    require(noted.layers == seen, name, "recorded layers are others than the denoiser's")
    for layer, away in noted.away.items():
        require(
            away <= 1e-4, name, f"`attend` of the layer {layer} gives no average of values: {away}"
        )


@family_property("definition")
def definition(subject: Subject) -> None:
    """The denoiser under a plan predicts what it does with every layer computed by definition."""
    for settings in settings_of(subject)[:2]:
        plan = subject.plan(settings)
        attention = subject.attention(plan, plan.attention)
        by_definition = ByDefinition(plan, subject.latent_frames, attention.norm)
        out, expected = subject.prediction(attention), subject.prediction(by_definition)
        away = (out - expected).abs().flatten(1).max(1).values
        row = int(away.argmax())
        require(
            away.max() <= 20 * CLOSE,
            "definition",
            f"the prediction is up to {away.max():.2g} away from that with every layer computed by "
            "definition",
            pass_=row // subject.latent_frames,
            frame=row % subject.latent_frames,
            attention=settings,
        )


@family_property("restored")
def restored(subject: Subject) -> None:
    """The denoiser is as before at the end, whatever is raised inside."""
    name, network = "restored", subject.checkpoint.denoiser
    modules, processors = dict(network.named_modules()), _processors(network)
    weights = {key: weight.clone() for key, weight in network.state_dict().items()}
    plan = subject.plan()
    attention = subject.attention(plan, plan.attention)
    before = subject.prediction(None, (TARGET,))

    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    try:
        with subject.checkpoint.installed(attention):
            changed = _processors(network) != processors or dict(network.named_modules()) != modules
            require(changed, name, "`installed` changes no layer of the denoiser")
            hook = list(network.modules())[-1].register_forward_pre_hook(interrupt)
            try:
                subject.prediction(None, (TARGET,))
            finally:
                hook.remove()
            raise Interrupted
    except Interrupted:
        pass
    now, now_processors = dict(network.named_modules()), _processors(network)
    for key in {**modules, **now}:
        require(now.get(key) is modules.get(key), name, f"the module `{key}` is another one")
        require(
            now_processors.get(key) is processors.get(key),
            name,
            f"the attention processor of `{key}` is another one",
        )
    for key, weight in network.state_dict().items():
        require(torch.equal(weight, weights[key]), name, f"the weight `{key}` is changed")
    after = subject.prediction(None, (TARGET,))
    require(torch.equal(after, before), name, "the stock network predicts something else")


def _processors(network: torch.nn.Module) -> dict[str, object]:
    return {
        key: module.processor
        for key, module in network.named_modules()
        if hasattr(module, "processor")
    }
