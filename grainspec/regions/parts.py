"""Which regions a part covers: it takes its pixels from them."""

from __future__ import annotations

from collections.abc import Iterable

Claim = tuple[str, str | None, str | None]
"""The region, the grain (class, instance or part) and the owner of an edit."""


def covered(claims: Iterable[Claim]) -> dict[str, frozenset[str]]:
    """For every part, the regions that it takes its pixels and latent tokens from.

    These are all regions that are not parts, whether they are its owner or not, and the parts that
    it belongs to.

    >>> behind = covered([("bear", None, None), ("road", None, None), ("hat", "part", "bear")])
    >>> sorted(behind["hat"])
    ['bear', 'road']
    """
    claims = list(claims)
    grains = {region: grain for region, grain, _ in claims}
    owners = {region: owner for region, _, owner in claims}
    return {
        part: frozenset(
            other
            for other in grains
            if other != part and (grains[other] != "part" or other in _ancestors(part, owners))
        )
        for part in grains
        if grains[part] == "part"
    }


def _ancestors(region: str, owners: dict[str, str | None]) -> set[str]:
    ancestors: set[str] = set()
    owner = owners.get(region)
    while owner is not None and owner not in ancestors:
        ancestors.add(owner)
        owner = owners.get(owner)
    return ancestors - {region}
