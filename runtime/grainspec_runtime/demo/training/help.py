"""How the training programs show their options."""

from __future__ import annotations

import argparse


class HelpWithDefaults(
    argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter
):
    """Keeps the lines of the description, and adds the defaults of options."""
