"""Commands that are proposed can be pasted into a shell, whatever the files are called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grainspec import parse
from grainspec.diagnostics.diagnostic import UNSAFE
from grainspec.regions.tracked.place import track_command
from grainspec.shell import shell_path

BASH = shutil.which("bash") if os.name == "posix" else None
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00/"), min_size=1)
ODD = ["-dash", "--", "-", "it's", 'a "b"', "$(x) `y`", "~", "a\nb", "\x1b[1m", "\\", "!1", "猫 é"]


@pytest.mark.skipif(BASH is None, reason="needs bash")
@given(names=st.lists(NAMES, min_size=20, max_size=20))
@example(names=ODD)
@example(names=[f"{name}\u202e\t" for name in ODD])
@settings(max_examples=30, deadline=None)
def test_a_shell_reads_the_path(names: list[str]) -> None:
    assert BASH is not None
    words = [shell_path(name) for name in names]
    assert not any(UNSAFE.search(word) or word.startswith("-") for word in words)
    script = f"printf '%s\\0' {' '.join(words)}"
    said = subprocess.run([BASH, "-c", script], capture_output=True, check=True).stdout
    read = [os.fsdecode(name) for name in said.split(b"\0")[:-1]]
    assert read == [f"./{name}" if name.startswith("-") else name for name in names]


def test_what_is_plain_stays_as_it_is() -> None:
    assert shell_path(Path("clips/two_men.mp4")) == "clips/two_men.mp4"


def test_the_command_to_track_is_no_option() -> None:
    spec = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    assert track_command(spec) == "grain track SPEC"
    assert track_command(spec.in_folder(Path(), "-edit.grain")) == "grain track ./-edit.grain"
