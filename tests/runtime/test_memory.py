"""The memory of a run, estimated before it starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from clips import EXAMPLES
from command import Grain
from held import held
from tiny_runs import loaded

from grainspec import load
from grainspec_runtime import device
from grainspec_runtime.backbones.registry import find_model
from grainspec_runtime.memory import estimate
from grainspec_runtime.memory.estimate import Needs, memory_warnings, needs_of
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import Prepared, prepare

CPU = LoadOptions(device="cpu")


def prepared(*sets: str, size: int = 96) -> Prepared:
    spec = load(EXAMPLES / "instance.grain")
    return prepare(spec, EXAMPLES, sets=[f"video.size={size}x{size}", *sets])


def test_weights_are_counted_before_loading(tiny_model: Path) -> None:
    model, family = find_model(str(tiny_model), Path())
    before = family.memory(model, itemsize=4)
    assert before.weights() == loaded(tiny_model).memory.weights()
    size = {"height": 64, "width": 64}
    after = loaded(tiny_model).memory
    assert before.denoiser_frame(passes=2, **size) == after.denoiser_frame(passes=2, **size)
    assert before.vae_frame(**size) == after.vae_frame(**size)


def test_half_precision_takes_half(tiny_sdxl: Path) -> None:
    model, family = find_model(str(tiny_sdxl), Path())
    half, full = (family.memory(model, itemsize=size) for size in (2, 4))
    assert half.denoiser_weights() * 2 == full.denoiser_weights()
    assert half.weights()["vae"] == full.weights()["vae"]  # SDXL's VAE stays in float32


@pytest.mark.parametrize("side", [96, 192])
@torch.no_grad()
def test_activations_are_those_that_torch_holds(side: int) -> None:
    """On the demo model: within a tenth for the UNet, a quarter for the VAE."""
    checkpoint = loaded(find_model("demo", Path())[0].folder)
    latents = torch.zeros(2, 4, side // 4, side // 4)
    given = checkpoint.condition([checkpoint.encode_prompt("a")] * 2, latents)
    size = {"height": side, "width": side}
    found = held(lambda: checkpoint.unet(latents, 10, **given))
    guess = checkpoint.memory.denoiser_frame(passes=2, **size)
    assert guess == pytest.approx(found, rel=0.1)
    found = held(lambda: checkpoint.vae.decode(latents))
    assert 2 * checkpoint.memory.vae_frame(**size) == pytest.approx(found, rel=0.25)


def test_what_makes_a_run_larger() -> None:
    def total(one: Prepared, options: LoadOptions = CPU) -> int:
        return sum(needs_of(one, options).main_parts.values())

    small = prepared()
    assert total(small) < total(prepared(size=192)) < total(prepared(size=384))
    windows = prepared("context.keys=0", "context.overlap=1", "context.frames=4")
    assert total(windows) < total(small)
    assert total(small, replace(CPU, dtype=torch.bfloat16)) < total(small)
    steps = prepared("sampler.steps=900")
    latents = needs_of(steps, CPU).main_parts["latents of the inversion"]
    assert latents == 901 * 8 * 24 * 24 * 4 * 4
    assert total(prepared("inject.self=50%")) > total(small)


def test_a_run_that_does_not_fit_says_what_to_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    one = prepared(size=384)
    monkeypatch.setattr(estimate, "main_memory", lambda: 1_000_000_000)
    needs = needs_of(one, CPU)
    [found] = memory_warnings(one, needs, CPU)
    assert found.code == "G518"
    assert not found.is_error
    assert "1.0 GB are free" in found.message
    assert "8 frames of 384x384" in found.message
    assert "`video { size 288x288 }`" in found.cure
    monkeypatch.setattr(estimate, "main_memory", lambda: None)
    assert memory_warnings(one, needs_of(one, CPU), CPU) == []
    shared = needs_of(one, CPU, processes=3)  # each has what one alone has
    assert shared.main_parts == {
        name: 3 * size for name, size in needs_of(one, CPU).main_parts.items()
    }


def test_a_gpu_has_memory_of_its_own() -> None:
    one = prepared(size=384)
    needs = Needs("cuda:0", {"weights": 60, "activations": 10**9}, {"frames": 5}, 10**8, 10**10)
    [found] = memory_warnings(one, needs)
    assert "1.0 GB of cuda:0, and 100 MB are free" in found.message
    assert "--offload model" in found.cure
    needs = Needs("cuda:0", {"weights": 60}, {"frames": 10**9}, 10**8, 10**8)
    [found] = memory_warnings(one, needs)
    assert "main memory" in found.message
    assert "fewer frames" in found.cure


def test_the_plan_shows_the_estimate(grain: Grain, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = EXAMPLES / "instance.grain"
    monkeypatch.setattr(estimate, "main_memory", lambda: 600_000_000)
    said = grain("plan", spec)
    assert "estimated need: 681 MB of main memory (600 MB free)" in said.out
    assert "G518" in said.err
    shown = grain("plan", spec, "--format", "json").json
    [memory] = shown["memory"]
    assert memory["needed"] == sum(memory["parts"].values())
    assert memory["free"] == 600_000_000
    [found] = [one for one in shown["diagnostics"] if one["code"] == "G518"]
    assert found["severity"] == "warning"


def test_a_containers_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:  2000 kB\n",
        "/sys/fs/cgroup/memory.max": "1500000\n",
        "/sys/fs/cgroup/memory.current": "500000\n",
    }

    def read(path: Path) -> str:
        if str(path) not in texts:
            raise FileNotFoundError
        return texts[str(path)]

    monkeypatch.setattr(device.Path, "read_text", read)
    assert device.main_memory() == 1_000_000
    texts["/sys/fs/cgroup/memory.max"] = "max"
    assert device.main_memory() == 2_048_000
    del texts["/sys/fs/cgroup/memory.max"]
    assert device.main_memory() == 2_048_000
    texts.clear()
    assert (device.main_memory() or 0) > 10**8  # what is installed
