"""The runtime's commands; they join `grain` through the entry-point group grainspec.commands."""

import os

# Before transformers is first imported: it warns of packages that nothing here wants.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
