"""Tiny random checkpoints, made once."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

# Before anything imports the kernel: it runs here through Triton's interpreter.
os.environ.setdefault("TRITON_INTERPRET", "1")

from fake_tracker import Engines, write_clip
from tiny_models import save_animatediff, save_sd15, save_sd21, save_sdxl, save_two_levels
from wan import VARIANTS, WanVariant, tiny_wan


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 1.5's architecture."""
    return save_sd15(tmp_path_factory.mktemp("models") / "tiny-sd")


@pytest.fixture(scope="session")
def tiny_animatediff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 1.5's architecture with motion modules."""
    return save_animatediff(tmp_path_factory.mktemp("models") / "tiny-animatediff")


@pytest.fixture(scope="session")
def two_levels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Less of it, to be compiled."""
    return save_two_levels(tmp_path_factory.mktemp("models") / "two-levels")


@pytest.fixture(scope="session")
def tiny_sd21(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 2.1's architecture."""
    return save_sd21(tmp_path_factory.mktemp("models") / "tiny-sd21")


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion XL's architecture."""
    return save_sdxl(tmp_path_factory.mktemp("models") / "tiny-sdxl")


@pytest.fixture(params=["tiny_sd", "tiny_sd21", "tiny_sdxl"], scope="session")
def tiny_model(request: pytest.FixtureRequest) -> Path:
    """Each of them in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def wan_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[WanVariant], Path]:
    """Makes the checkpoint of a variant of Wan, once."""
    base = tmp_path_factory.mktemp("wan")
    return cache(lambda variant: tiny_wan(base / variant, variant))


@pytest.fixture(scope="session")
def wan_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[WanVariant, Path]:
    """A tiny checkpoint of every variant of Wan."""
    base = tmp_path_factory.mktemp("wan")
    return {variant: tiny_wan(base / variant, variant) for variant in VARIANTS}


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> WanVariant:
    """Each of them in turn."""
    name: WanVariant = request.param
    return name


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Engines:
    """A tracker and a finder that know the answer, in place of the real ones."""
    made = Engines()
    made.install(monkeypatch)
    return made


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a clip of moving squares."""
    write_clip(tmp_path / "clip")
    return tmp_path


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests without power cuts: nothing has to wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
