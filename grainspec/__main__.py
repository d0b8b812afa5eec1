"""``python -m grainspec`` is the command ``grain``."""

from grainspec.cli import main

main()
