"""A section of a YAML configuration: its values are text until they are read as something else."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NULL = ("", "~", "null", "Null", "NULL")
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_SHOWN = 20
_REQUIRED = "\0"


@dataclass(frozen=True)
class Section:
    """A mapping of a configuration, as PyYAML's BaseLoader reads it: text, lists and mappings.

    All methods raise ValueError, with the name of the key, for a value of another form.
    """

    values: Mapping[str, Any]

    @classmethod
    def of(cls, config: Mapping[str, Any], name: str) -> Section:
        """A section of a configuration; empty if there is none."""
        values = config.get(name) or {}
        if values in _NULL:
            values = {}
        if not isinstance(values, dict):
            raise ValueError(f"`{name}` must have settings of the form `name: value`")
        return cls(values)

    def text(self, key: str, default: str = _REQUIRED) -> str:
        """A text; ``default`` for null, and if there is none."""
        value = self.values.get(key, default)
        if value == _REQUIRED:
            raise ValueError(f"it has no `{key}`")
        if not isinstance(value, str):
            raise ValueError(f"`{key}` must be text")
        return default if value in _NULL and default != _REQUIRED else value

    def texts(self, key: str) -> list[str]:
        """A list of texts, not empty."""
        return texts_of(self.values.get(key), f"`{key}`")

    def place(self, key: str) -> str:
        """A path inside the data set."""
        text = self.text(key)
        if not is_inside(text):
            raise ValueError(f"`{key}` leads out of the data set: `{text[:60]}`")
        return text

    def whole(self, key: str, default: int) -> int:
        """A whole number from 0."""
        text = self.text(key, str(default))
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise self._invalid(key, text, "a whole number from 0")
        return int(text)

    def number(self, key: str, default: float) -> float:
        """A number from 0."""
        text = self.text(key, str(default))
        if not re.fullmatch(r"[0-9]{1,9}\.?[0-9]{0,9}|\.[0-9]{1,9}", text):
            raise self._invalid(key, text, "a number from 0")
        return float(text)

    def flag(self, key: str) -> bool:
        """True or false; false if there is none."""
        text = self.text(key, "false")
        if text.lower() not in _FLAGS:
            raise self._invalid(key, text, "`true` or `false`")
        return _FLAGS[text.lower()]

    def others(self, known: Collection[str]) -> list[str]:
        """The keys that are not known."""
        return [str(key) for key in self.values if key not in known]

    def _invalid(self, key: str, text: str, expected: str) -> ValueError:
        return ValueError(f"invalid value `{text[:_SHOWN]}` for `{key}`: {expected}")


def texts_of(value: Any, what: str) -> list[str]:
    """A list of texts, not empty; raises ValueError for anything else."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"{what} must be a list")
    if not all(isinstance(item, str) for item in value):
        raise ValueError(f"an item of {what} must be text")
    return value


def is_inside(path: str) -> bool:
    """Whether a path of a data set stays inside it.

    >>> is_inside("./data/bear"), is_inside("../bear"), is_inside("/bear")
    (True, False, False)
    """
    return not Path(path).is_absolute() and ".." not in Path(path).parts and "\0" not in path


def is_folder(base: Path, path: str) -> bool:
    """Whether a path of a data set is a folder inside it."""
    try:
        return is_inside(path) and (base / path).is_dir()
    except OSError:  # a name that files cannot have
        return False
