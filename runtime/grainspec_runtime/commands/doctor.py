"""``grain doctor``: what this machine can run, and why not."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click

from grainspec.cli.output import Format, format_option, print_json
from grainspec.diagnostics import GrainError


@dataclass(frozen=True)
class Finding:
    """One thing looked at: fine or not, what was found, and what to do if it is not fine."""

    what: str
    fine: bool
    found: str
    cure: str = ""


@click.command
@format_option
def doctor(format_: Format) -> None:
    """Say what this machine can run, and why not.

    Exits with 1 if `grain run` cannot work here.

    \b
    Examples:
      grain doctor
      grain doctor --format json
    """
    findings = [
        Finding("python", True, f"{platform.python_version()} on {platform.platform()}"),
        *_packages(),
        *_devices(),
        _encoder(),
        _demo(),
        _cache(),
    ]
    broken = [finding for finding in findings if not finding.fine]
    if format_ == "json":
        print_json({"can_run": not broken, "findings": [asdict(f) for f in findings]})
    else:
        for finding in findings:
            print(f"{'ok ' if finding.fine else 'NO '} {finding.what:<22} {finding.found}")
            if finding.cure:
                print(f"{'':<27}{finding.cure}")
        print("this machine can run edits" if not broken else "this machine cannot run edits yet")
    if broken:
        raise SystemExit(1)


def _packages() -> list[Finding]:
    cure = "Install it with: pip install 'grainspec[runtime]'"
    findings = []
    for name in ("torch", "diffusers", "transformers", "safetensors", "av"):
        try:
            findings.append(Finding(name, True, version(name)))
        except PackageNotFoundError:
            findings.append(Finding(name, False, "not installed", cure))
    for name, use in (
        ("decord", "decodes faster; PyAV does it otherwise"),
        ("opencv-python-headless", "optical flow needs it"),
        ("torchvision", "only the optical flow of RAFT needs it"),
        ("peft", "LoRAs need it"),
        ("xformers", "not needed"),
    ):
        try:
            findings.append(Finding(name, True, version(name)))
        except PackageNotFoundError:
            findings.append(Finding(name, True, f"not installed ({use})"))
    return findings


def _devices() -> list[Finding]:
    if find_spec("torch") is None:
        return []
    import torch

    threads = torch.get_num_threads()
    findings = [Finding("cpu", True, f"{os.cpu_count()} cores, {threads} torch threads, float32")]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            memory = facts.total_memory / 2**30
            findings.append(Finding(f"cuda:{index}", True, f"{facts.name}, {memory:.0f} GiB"))
    else:
        why = "this torch was built without CUDA" if torch.version.cuda is None else "no GPU found"
        findings.append(Finding("cuda", True, f"not used: {why}"))
    if torch.backends.mps.is_available():
        findings.append(Finding("mps", True, "Apple GPU"))
    from grainspec_runtime.attention import BACKENDS, NAMES, choose

    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    choice = choose("auto", device, torch.float16 if cuda else torch.float32, 64)
    found = f"{', '.join(NAMES)}; auto picks {choice.backend}: {choice.reason}"
    dtype = torch.float16 if cuda else torch.float32
    why_not = BACKENDS["xformers"].why_not(device, dtype, 64)
    if why_not is not None:
        found += f"; xformers cannot run: {why_not}"
    return [*findings, Finding("attention backends", True, found)]


def _encoder() -> Finding:
    try:
        import av

        av.CodecContext.create("libx264", "w")
    except Exception as error:  # PyAV raises kinds of its own, by version
        cure = "Install PyAV from a wheel: pip install --only-binary=:all: av"
        return Finding("H.264 encoder", False, f"not there: {error}", cure)
    return Finding("H.264 encoder", True, "libx264")


def _demo() -> Finding:
    from grainspec_runtime.backbones.locate import DEMO_FOLDER

    weights = sorted(DEMO_FOLDER.glob("*/*.safetensors"))
    if len(weights) < 3:
        cure = "Install grainspec again; its weights are part of the package."
        return Finding("demo model", False, f"not whole: {DEMO_FOLDER}", cure)
    size = sum(path.stat().st_size for path in weights) / 1e6
    return Finding("demo model", True, f"{size:.0f} MB, embedded")


def _cache() -> Finding:
    from grainspec_runtime.cache.folder import cache_folder
    from grainspec_runtime.cache.limit import cache_limit, shown_size

    folder = cache_folder()
    try:
        limit = shown_size(cache_limit())
    except GrainError as error:
        return Finding("cache", False, error.diagnostics[0].message, error.diagnostics[0].cure)
    used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    found = f"{folder}, {used / 1e6:.0f} MB used of at most {limit}, {free:.0f} GB free"
    return Finding("cache", True, found)
