"""Command-line options for loading a model, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click

from grainspec_runtime.commands.spec_file import embedding_option
from grainspec_runtime.device import best_device, known_device
from grainspec_runtime.models.additions import Embedding, Lora, check_lora
from grainspec_runtime.models.options import LoadOptions, Offload

_FIELDS = [name for name in LoadOptions.__dataclass_fields__ if name != "parallel"]
"""Of the options for loading, those of the command line."""

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class LoadingArguments:
    """The options for loading a model as given on the command line; free of torch."""

    arguments: dict[str, Any]

    @property
    def offload(self) -> Offload | None:
        """The value of ``--offload``."""
        offload: Offload | None = self.arguments["offload"]
        return offload

    @property
    def compiles(self) -> bool:
        """Whether ``--compile`` is given."""
        return bool(self.arguments["compile"])

    def additions(self) -> tuple[list[Lora], list[Embedding]]:
        """Parse LoRAs and textual inversions; raises GrainError if a LoRA cannot be loaded."""
        loras = [Lora.read(text) for text in self.arguments["loras"]]
        for lora in loras:
            check_lora(lora)
        return loras, [Embedding.read(text) for text in self.arguments["embeddings"]]

    def options(self) -> LoadOptions:
        """Convert to load options; raises a usage error if this machine does not support them."""
        import torch

        loras, embeddings = self.additions()
        named = {**self.arguments, "loras": loras, "embeddings": embeddings}
        named["device"] = known_device(named["device"])
        named["dtype"] = getattr(torch, named["dtype"]) if named["dtype"] else None
        if self.offload and torch.device(named["device"] or best_device()).type == "cpu":
            raise click.UsageError(
                "`--offload` has no effect on a CPU; remove it, or select a GPU with `--device`."
            )
        return LoadOptions(**named)


def loading_options(command: Command) -> Command:
    """Add the options for loading a model to a command, as its argument ``loading``."""

    @wraps(command)
    def with_loading(*args: Any, **named: Any) -> Any:
        arguments = {name: named.pop(name) for name in _FIELDS}
        if arguments["compile"] and arguments["offload"] == "sequential":
            message = (
                "`--compile` does not work with `--offload sequential`; use `--offload model`."
            )
            raise click.UsageError(message)
        return command(*args, loading=LoadingArguments(arguments), **named)

    decorated: Any = with_loading
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--device", help="cpu, cuda, cuda:1 or mps (default: the best available)."),
    click.option(
        "--dtype",
        type=click.Choice(["float32", "float16", "bfloat16"]),
        help="Precision of the model (default: float32 on a CPU; on a GPU float16, bfloat16 "
        "for Wan).",
    ),
    click.option(
        "--offload",
        type=click.Choice(["model", "group", "sequential"]),
        help="Save GPU memory by offloading to the CPU: model keeps only the active network on the "
        "GPU (slightly slower), group only two blocks of a video transformer (slower; for networks "
        "larger than the GPU's memory), sequential only the active layer (much slower).",
    ),
    click.option("--vae-slicing", is_flag=True, help="Encode and decode one frame at a time."),
    click.option(
        "--vae-tiling", is_flag=True, help="Encode and decode large frames in overlapping tiles."
    ),
    click.option(
        "--compile",
        "compile",
        is_flag=True,
        help="Compile the denoiser with torch.compile: the first step takes minutes, later steps "
        "are faster. Requires a C/C++ compiler.",
    ),
    click.option(
        "--lora",
        "loras",
        metavar="PATH[:SCALE]",
        multiple=True,
        help="Load a LoRA (safetensors) with weight SCALE; may be repeated. In a model of two "
        "experts it is for both, or for the one that `high_noise` or `low_noise` in its name says.",
    ),
    embedding_option,
)
