"""Run the command `grain` inside the test's own process."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from grainspec.cli import main


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output as one JSON value."""
        return json.loads(self.out)

    @property
    def codes(self) -> list[str]:
        """The codes of the findings in its JSON output."""
        return [found["code"] for file in self.json["files"] for found in file["diagnostics"]]


class Grain:
    """Calls ``grain`` with some arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> Said:
        self.monkeypatch.setattr(sys, "argv", ["grain", *map(str, arguments)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = self.capsys.readouterr()
        code = stopped.value.code
        return Said(code if isinstance(code, int) else 1, printed.out, printed.err)
