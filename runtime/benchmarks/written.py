"""Write the results of a measurement, with what they were measured on."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch


def write_results(
    arguments: argparse.Namespace, results: Mapping[str, Any], *, on_gpu: bool
) -> None:
    """Write results to ``arguments.json``, if it is given, with the other arguments."""
    if arguments.json is None:
        return
    device = torch.cuda.get_device_name() if on_gpu else platform.processor()
    facts = {
        "arguments": {
            key: value for key, value in vars(arguments).items() if key not in ("json", "folder")
        },
        "device": device,
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "results": results,
    }
    arguments.json.write_text(json.dumps(facts, indent=2) + "\n")
