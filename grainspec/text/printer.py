"""Spec to text: the canonical form, one statement a line, defaults left out."""

from __future__ import annotations

from collections.abc import Callable

from grainspec.expect import expect_spec
from grainspec.model.expressions import (
    All,
    Box,
    Complement,
    Difference,
    During,
    Expression,
    Grown,
    Intersection,
    Keyframe,
    MaskFiles,
    Outline,
    Polygon,
    Reference,
    Rest,
)
from grainspec.model.expressions import Union as UnionOf
from grainspec.model.nodes import Node
from grainspec.model.numbers import decimal_text, percent_text
from grainspec.model.spec import (
    DEMO,
    Attention,
    Blend,
    Change,
    Context,
    Control,
    Edit,
    EditSpec,
    Flow,
    Inject,
    Sampler,
    SamplerChange,
    Variant,
    Video,
)
from grainspec.text.format import format_text

_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"})
# How tightly an expression holds together; the same order as in the grammar.
_UNION, _INTERSECTION, _DIFFERENCE, _TERM, _ATOM = range(5)


def dumps(spec: EditSpec) -> str:
    """The canonical text of a spec; parsing it gives the same spec back.

    >>> from grainspec import dumps, parse
    >>> text = 'grain 1 video "c.mp4" target "a bear" region r=~(rest) edit r->"bear"{weight 1.50}'
    >>> print(dumps(parse(text)))
    grain 1
    <BLANKLINE>
    video "c.mp4"
    <BLANKLINE>
    target "a bear"
    <BLANKLINE>
    region r = ~rest
    <BLANKLINE>
    edit r -> "bear" { weight 1.5 }
    <BLANKLINE>
    """
    spec = expect_spec(spec, "dumps")
    groups = [
        [f"grain {spec.version}"],
        [_video(spec.video)] + ([f"model {_model(spec.model)}"] if spec.model != DEMO else []),
        _prompts(spec, "source", "target", "negative"),
        [f"region {r.name} = {expression_text(r.expression)}" for r in spec.regions],
        [_edit(edit) for edit in spec.edits],
        [
            *_settings(spec.attention, spec.sampler, spec.flow, spec.inject, spec.context),
            *(_control(control) for control in spec.controls),
            *_blend(spec.blend),
        ],
        *(_variant(variant) for variant in spec.variants),
    ]
    return format_text("\n\n".join("\n".join(lines) for lines in groups if lines))


def _prompts(node: Node, *names: str) -> list[str]:
    """The prompts that a spec has, or that a variant gives anew, be it empty."""
    default = type(node).model_fields
    return [
        f"{name} {quoted(getattr(node, name))}"
        for name in names
        if getattr(node, name) != default[name].default
    ]


def _variant(variant: Variant) -> list[str]:
    return [
        f"variant {variant.name} {{",
        *_prompts(variant, "target", "negative"),
        *(_edit(edit) for edit in variant.edits),
        *_settings(variant.attention, variant.sampler),
        "}",
    ]


def quoted(text: str) -> str:
    """A text as a STRING of the language."""
    return '"' + text.translate(_ESCAPES) + '"'


def expression_text(expression: Expression, outer: int = _UNION) -> str:
    """A region expression, with the parentheses it needs inside one that binds as ``outer``."""
    if isinstance(expression, Reference):
        return expression.name
    if isinstance(expression, Rest):
        return "rest"
    if isinstance(expression, All):
        return "all"
    if isinstance(expression, MaskFiles):
        return _masks(expression)
    if isinstance(expression, Box | Polygon):
        return ", ".join(
            f"{expression.kind}({_inside(key)}){'' if key.frame is None else f' @ {key.frame}'}"
            for key in expression.keyframes
        )
    if isinstance(expression, Grown):
        return f"{expression_text(expression.of, _ATOM)} {expression.kind} {expression.by}"
    if isinstance(expression, During):
        first, last = expression.frames.first, expression.frames.last
        return f"{expression_text(expression.of, _ATOM)} during {first}..{last}"
    if isinstance(expression, Complement):
        text = "~" + expression_text(expression.of, _TERM)
        return f"({text})" if outer == _ATOM else text
    sign, inner = " | ", _UNION
    if isinstance(expression, Intersection):
        sign, inner = " & ", _INTERSECTION
    elif isinstance(expression, Difference):
        sign, inner = " - ", _DIFFERENCE
    else:
        assert isinstance(expression, UnionOf)
    text = sign.join(expression_text(item, inner + 1) for item in expression.items)
    return f"({text})" if inner < outer else text


def _inside(key: Keyframe | Outline) -> str:
    """What stands in a shape's parentheses."""
    if isinstance(key, Keyframe):
        return f"{key.x0}, {key.y0}, {key.x1}, {key.y1}"
    return ", ".join(f"{point.x} {point.y}" for point in key.points)


def _masks(source: MaskFiles) -> str:
    options = [quoted(source.path)]
    options += ["invert"] * source.invert
    if source.threshold != MaskFiles.model_fields["threshold"].default:
        options.append(f"threshold {percent_text(source.threshold)}")
    if source.index is not None:
        options.append(f"index {source.index}")
    if source.colour is not None:
        options.append(f"colour {quoted(source.colour)}")
    if source.array is not None:
        options.append(f"array {quoted(source.array)}")
    if source.first:
        options.append(f"from {source.first}")
    options += ["in_order"] * source.in_order
    options += ["scaled"] * source.scaled
    if source.resize != MaskFiles.model_fields["resize"].default:
        options.append(f"resize {source.resize}")
    return f"masks({', '.join(options)})"


def _model(name: str) -> str:
    return quoted(name)


def _video(video: Video) -> str:
    settings = []
    if video.frames:
        settings.append(f"frames {video.frames.first}..{video.frames.last}")
    if video.step != 1:
        settings.append(f"step {video.step}")
    if video.size:
        settings.append(f"size {video.size.width}x{video.size.height}")
    if video.crop is not None:
        settings.append(f"crop {expression_text(video.crop)}")
    return f"video {quoted(video.path)}{_block(settings)}"


def _edit(edit: Change) -> str:
    if not isinstance(edit, Edit):
        return f"{edit.verb} {edit.region}"
    words: list[str] = [edit.verb]
    if edit.grain:
        words.append(edit.grain)
    words.append(edit.region)
    if edit.owner:
        words += ["of", edit.owner]
    settings = []
    if edit.weight != 1:
        settings.append(f"weight {decimal_text(edit.weight)}")
    if edit.repel is not None:
        settings.append(f"repel {decimal_text(edit.repel)}")
    return f"{' '.join(words)} -> {quoted(edit.phrase)}{_block(settings)}"


def _settings(
    attention: Attention,
    sampler: Sampler | SamplerChange,
    flow: Flow | None = None,
    inject: Inject | None = None,
    context: Context | None = None,
) -> list[str]:
    """The blocks of settings that a spec has, as far as they say something."""
    lines = []
    given = _changed(
        attention,
        {
            "cross": decimal_text,
            "self_": decimal_text,
            "frames": str,
            "norm": str,
            "until": percent_text,
            "until_timestep": decimal_text,
            "decay": decimal_text,
            "levels": _levels,
            "phrases": str,
            "unbound": decimal_text,
            "resize": str,
            "threshold": percent_text,
        },
    )
    if given or attention.profile:
        lines.append(f"attention{_name(attention.profile)}{_block(given)}")
    if flow:
        given = _changed(flow, {"levels": _levels, "method": str, "weights": quoted})
        lines.append(f"flow{_block(given)}")
    if inject:
        given = _changed(
            inject,
            {
                "features": percent_text,
                "self_": percent_text,
                "feature_levels": _levels,
                "self_levels": _levels,
            },
        )
        lines.append(f"inject{_block(given)}")
    if context:
        given = _changed(context, {"frames": str, "overlap": str, "keys": str})
        lines.append(f"context{_block(given)}")
    given = _changed(
        sampler, {"steps": str, "guidance": decimal_text, "eta": decimal_text, "seed": str}
    )
    if given or sampler.method != type(sampler).model_fields["method"].default:
        lines.append(f"sampler{_name(sampler.method)}{_block(given)}")
    return lines


def _levels(levels: str | tuple[int, ...]) -> str:
    return levels if isinstance(levels, str) else " ".join(map(str, levels))


def _control(control: Control) -> str:
    given = _changed(
        control,
        {
            "net": quoted,
            "annotator": quoted,
            "clip": quoted,
            "scale": decimal_text,
            "start": percent_text,
            "until": percent_text,
        },
    )
    return f"control {control.kind}{_block(given)}"


def _blend(blend: Blend) -> list[str]:
    given = _changed(blend, {"space": str, "feather": str})
    return [f"blend{_block(given)}"] if given else []


def _changed(node: Node, show: dict[str, Callable[..., str]]) -> list[str]:
    """The settings of a node that are not as the model has them by default."""
    return [
        f"{type(node).model_fields[name].alias or name} {write(getattr(node, name))}"
        for name, write in show.items()
        if getattr(node, name) != type(node).model_fields[name].default
    ]


def _name(name: str | None) -> str:
    return f" {name}" if name else ""


def _block(settings: list[str]) -> str:
    return f" {{ {' '.join(settings)} }}" if settings else ""
