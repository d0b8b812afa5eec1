"""Run a program of this folder, which prints lines of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def printed(program: str, *arguments: object) -> list[Any]:
    """Return the values that it prints; fails if the program does."""
    ended = subprocess.run(
        [sys.executable, Path(__file__).with_name(program), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]
