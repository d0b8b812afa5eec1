"""Properties of regions: how a spec's expressions become pixels, checked independently.

The order of these imports is the order of checking: what a property rests on comes before it.
"""

from grainspec.testing.regions import (  # isort: skip
    framing as framing,
    sources as sources,
    symmetry as symmetry,
    operators as operators,
    algebra as algebra,
    cropping as cropping,
    layouts as layouts,
    cuts as cuts,
    statements as statements,
    doors as doors,
)
from grainspec.testing.regions.check import check_regions as check_regions
from grainspec.testing.regions.registry import REGION_PROPERTIES as REGION_PROPERTIES
