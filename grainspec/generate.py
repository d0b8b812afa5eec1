"""Write the files that follow from the declarations: ``python -m grainspec.generate``.

Run it after changing a setting or a statement. A test fails where a file is not current.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

from grainspec.model.algebra import MaskFiles
from grainspec.model.declaration import Declaration, fields_of
from grainspec.model.nodes import Node
from grainspec.model.settings import attention, profiles, sampler, values
from grainspec.model.settings.attention import Modulation
from grainspec.model.settings.sampler import Sampler
from grainspec.text.kinds import KINDS

ROOT = Path(__file__).parents[1]

_NOTE = """
Generated from the declarations in :mod:`grainspec.model` by ``python -m grainspec.generate``.
"""


# --- model/partial.py ----------------------------------------------------------------------------

_PARTIAL = '''"""Blocks of which every setting may be left out, as in a variant.
{note}"""
# fmt: off

from __future__ import annotations

{imports}


class Attention(Profiled):
    """The settings of ``attention`` that a spec or a variant gives; None for all others.

    >>> Attention(self=0.5).settled("demo").until, Attention(self=0.5).settled("owner/name").until
    (0.6, 0.3)
    """

{attention}
    model_config = ConfigDict(serialize_by_alias=True)


class SamplerChange(Node):
    """The settings of ``sampler`` that a variant changes."""

{sampler}'''

_HOMES = {
    "Annotated": "typing",
    "ConfigDict": "pydantic",
    "Field": "pydantic",
    "HEAD": "grainspec.model.declaration",
    "Node": "grainspec.model.nodes",
    "TokenRule": "grainspec.model.shapes",
}
"""Where names of annotations are defined, if not in the package ``model/settings``."""

_SETTINGS = (values, attention, profiles, sampler)
"""The modules of that package whose names are used, each after those that it imports from."""


_WIDTH = 100
"""The longest line of what is written."""


def partial_text(_: str) -> str:
    """The content of ``model/partial.py``."""
    attention, sampler = _optional_fields(Modulation), _optional_fields(Sampler)
    types = [text for model in (Modulation, Sampler) for text in model.__annotations__.values()]
    names = {name for text in types for name in re.findall(r"\w+", text) if name[0].isupper()}
    imports = _imports({*names, "ConfigDict", "Field", "Node", "Profiled"})
    return _PARTIAL.format(note=_NOTE, imports=imports, attention=attention, sampler=sampler)


def _optional_fields(model: type[Node]) -> str:
    """The fields of a model, with their types as they are written there, or None."""
    fields = []
    for declared in fields_of(model).values():
        alias = (
            f"        alias={_quoted(declared.key)},\n" if declared.key != declared.field else ""
        )
        fields.append(
            f"    {declared.field}: {model.__annotations__[declared.field]} | None = Field(\n"
            f"        default=None,\n{alias}"
            f"        description=\n{_wrapped(declared.description, 12, quote=True)},\n    )\n"
        )
    return "".join(fields)


def _imports(names: Iterable[str]) -> str:
    homes: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: (not name.isupper(), name)):
        homes.setdefault(_home(name), []).append(name)
    groups = (["typing"], ["pydantic"], sorted(home for home in homes if "." in home))
    lines = [
        [f"from {home} import {', '.join(homes[home])}" for home in group if home in homes]
        for group in groups
    ]
    return "\n\n".join("\n".join(map(_broken, group)) for group in lines)


def _home(name: str) -> str:
    """The module that defines the name of an annotation."""
    return _HOMES.get(name) or next(it.__name__ for it in _SETTINGS if name in vars(it))


def _broken(line: str) -> str:
    """An import, over several lines if it is long."""
    if len(line) <= 100:
        return line
    home, _, names = line.partition(" import ")
    return f"{home} import (\n" + "".join(f"    {name},\n" for name in names.split(", ")) + ")"


# --- model/arguments.py --------------------------------------------------------------------------

_ARGUMENTS = '''"""The keyword arguments of the builder's methods and of ``masks``.
{note}"""
# fmt: off

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal, TypedDict
'''


def arguments_text(_: str) -> str:
    """The content of ``model/arguments.py``."""
    from grainspec.model.spec import BLOCKS

    # The builder itself takes the settings of `video`.
    classes = [
        (f"{word.title()}Settings", word, block.model)
        for word, block in BLOCKS.items()
        if word != "video"
    ]
    text = _ARGUMENTS.format(note=_NOTE)
    for name, word, model in [*classes, ("MaskOptions", "masks", MaskFiles)]:
        text += (
            f'\n\nclass {name}(TypedDict, total=False):\n    """The settings of ``{word}``."""\n\n'
        )
        declared = fields_of(model).values()
        text += "".join(_argument(field) for field in declared if _is_argument(field))
    return text


def _is_argument(declared: Declaration) -> bool:
    """Whether a field is a keyword argument: settings are, and a name that may be left out."""
    return not declared.head or (len(declared.choices) > 1 and not declared.required)


def _argument(declared: Declaration) -> str:
    quoted = [_quoted(choice) for choice in declared.choices]
    choices, margin = ", ".join(quoted), "\n        "
    alone = "".join(f"{margin}{choice}," for choice in quoted)
    none = " | None" if declared.absent and not declared.head else ""
    meaning = _wrapped(f'"""{declared.description}"""', 4)
    for inner in (choices, f"{margin}{choices}\n    ", f"{alone}\n    "):
        python = KINDS[declared.kind].python.format(literal=f"Literal[{inner}]")
        line = f"    {declared.argument}: {python}{none}\n"
        if max(map(len, line.splitlines())) <= _WIDTH:
            break
    return f"{line}{meaning}\n"


def _wrapped(text: str, indent: int, *, quote: bool = False) -> str:
    """Text over several lines, each of them a string of its own if asked for."""
    margin = " " * indent
    lines = textwrap.wrap(text, _WIDTH - 3 - indent, break_long_words=False, break_on_hyphens=False)
    if not quote:
        return "\n".join(margin + line for line in lines)
    last = len(lines) - 1
    return "\n".join(
        margin + _quoted(line + ("" if at == last else " ")) for at, line in enumerate(lines)
    )


def _quoted(text: str) -> str:
    return "'" + text + "'" if '"' in text else f'"{text}"'


# --- all of them ---------------------------------------------------------------------------------

# These, like `arguments_text`, import the spec only when they are called: it needs a current
# `model/partial.py`.


def _schema(_: str) -> str:
    from grainspec.json_format import schema_text

    return schema_text()


def _highlighting(_: str) -> str:
    from grainspec.text.highlight import textmate_text

    return textmate_text()


def _reference(page: str) -> str:
    from grainspec.text.reference import with_tables

    return with_tables(page)


def _guide(page: str) -> str:
    from grainspec.testing.sentences import with_sentences

    return with_sentences(page)


GENERATED: dict[str, Callable[[str], str]] = {
    "grainspec/model/partial.py": partial_text,
    "grainspec/model/arguments.py": arguments_text,
    "grammar/grain.schema.json": _schema,
    "grammar/grain.tmLanguage.json": _highlighting,
    "grammar/README.md": _reference,
    "grammar/testing.md": _guide,
}
"""The generated files, each with the function from its old text to the new one."""


def main() -> None:
    """Write every generated file that is not current."""
    for path, text_of in GENERATED.items():
        file = ROOT / path
        old = file.read_text(encoding="utf-8") if file.exists() else ""
        if text_of(old) != old:
            file.write_text(text_of(old), encoding="utf-8")
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
