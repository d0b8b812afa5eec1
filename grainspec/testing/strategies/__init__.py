"""Hypothesis strategies: words, regions, specs, plans, and specs with a known fault.

Strategies are made once and cached, and draw as little as possible: most of the time for an example
is Hypothesis's own work for each draw.
"""
