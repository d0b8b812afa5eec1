"""The command ``grain``.

Commands of the SDK are here; those of the runtime join through the entry-point group
``grainspec.commands`` and are imported only when they are called.
"""

import os

# Looking for pydantic's plugins reads the metadata of every installed package, on every start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from grainspec.cli.app import main

__all__ = ["main"]
