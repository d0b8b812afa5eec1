"""The invariants of mask plans, by name; a failure names the region, frame, level and latent token.

An invariant takes a :class:`grainspec.testing.Case` and raises :class:`grainspec.testing.Broken`.
Some check the plan by itself. Others compile again after a change that must change the plan in a
known way. Together, the files of this package are the definition of a correct plan; they use none
of the compiler's functions.
"""

from __future__ import annotations

# The order of these imports is the order of checking.
# isort: off
from grainspec.testing.invariants import structure as structure
from grainspec.testing.invariants import provenance as provenance
from grainspec.testing.invariants import classes as classes
from grainspec.testing.invariants import relations as relations
from grainspec.testing.invariants import blend as blend
from grainspec.testing.invariants import words as words
from grainspec.testing.invariants import prompts as prompts
from grainspec.testing.invariants import strengths as strengths
from grainspec.testing.invariants import schedule as schedule
from grainspec.testing.invariants import repeated as repeated
from grainspec.testing.invariants import saved as saved
from grainspec.testing.invariants import unsafe as unsafe
from grainspec.testing.invariants import shown as shown
from grainspec.testing.invariants import compared as compared
from grainspec.testing.invariants import answers as answers
from grainspec.testing.invariants import video as video
from grainspec.testing.invariants import windows as windows
from grainspec.testing.invariants import transformed as transformed
from grainspec.testing.invariants import derived as derived

# isort: on
from grainspec.testing.invariants.registry import INVARIANTS, Invariant, invariant

__all__ = ["INVARIANTS", "Invariant", "invariant"]
