"""Test your own region sources: a tracker, a segmenter, a script that draws masks.

``check.py`` has :func:`check_region_source`, ``properties.py`` what is tested, and ``recipes.py``
which of these properties suit which kind of source.
"""

from grainspec.testing.sources.calls import RegionSource
from grainspec.testing.sources.check import check_region_source
from grainspec.testing.sources.recipes import PROPERTIES, RECIPES

__all__ = ["PROPERTIES", "RECIPES", "RegionSource", "check_region_source"]
