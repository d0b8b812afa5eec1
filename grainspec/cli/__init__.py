"""The command ``grain``.

The SDK's commands are in this package. Those of the runtime are found through the entry-point group
``grainspec.commands`` and imported only when they are called.
"""

import os

# Pydantic's search for plugins reads the metadata of every installed package at every start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from grainspec.cli.app import main

__all__ = ["main"]
