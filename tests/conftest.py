"""Shared fixtures: small clips with masks, written on the spot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from clips import ClipFolder
from command import Grain
from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # One core for each worker, and for what it starts: threads of two workers wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    os.cpu_count = lambda: 1  # `grain bench` shares the cores out

settings.register_profile(
    "grainspec", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40
)
settings.load_profile("grainspec")


@pytest.fixture(autouse=True)
def private_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test reads or writes the user's cache, nor reaches for a model hub."""
    monkeypatch.setenv("GRAINSPEC_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture
def clip(tmp_path: Path) -> ClipFolder:
    return ClipFolder(tmp_path)


@pytest.fixture
def grain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Grain:
    return Grain(monkeypatch, capsys)
