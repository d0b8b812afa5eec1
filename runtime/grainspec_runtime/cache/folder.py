"""The cache folder."""

from grainspec.cache_folder import cache_folder, shared_cache

__all__ = ["cache_folder", "shared_cache"]
