"""Who is in front of whom: a part covers what it is worn on."""

from __future__ import annotations

from collections.abc import Iterable

Claim = tuple[str, str | None, str | None]
"""An edit's region, its grain and its owner."""


def covered(claims: Iterable[Claim]) -> dict[str, frozenset[str]]:
    """For every part, the regions that it takes its pixels and tokens from.

    Those are all that are no parts, whether they are its owner or have nothing to do with it, and
    of the parts only those it belongs to.

    >>> found = covered([("bear", None, None), ("road", None, None), ("hat", "part", "bear")])
    >>> sorted(found["hat"])
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
    found: set[str] = set()
    owner = owners.get(region)
    while owner is not None and owner not in found:
        found.add(owner)
        owner = owners.get(owner)
    return found - {region}
