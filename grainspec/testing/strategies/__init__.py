"""Hypothesis strategies: words, regions, specs, plans, and specs with a known fault.

Strategies are made once and kept, and draw as little as they can: what Hypothesis needs for a draw
is most of what an example costs.
"""
