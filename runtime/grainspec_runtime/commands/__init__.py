"""The runtime's commands, which extend `grain` through the entry-point group grainspec.commands."""

import os

# Set before transformers is first imported: it warns about packages that are not needed here.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
