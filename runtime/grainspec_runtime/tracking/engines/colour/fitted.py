"""How much each kind of evidence weighs: a logistic regression on clips of the demo world.

They were clips with other seeds than the benchmark's, half of them with noise, blur and uneven
light, or with small figures.
"""

_ROWS = (  # what it is, its weight in the first round, its weight in later rounds
    ("one", 0.891, 2.739),
    ("colour", 1.208, 1.077),
    ("ground colour", -1.198, -1.496),
    ("colour of part", -0.736, 0.347),
    ("ground colour of part", 0.239, 0.595),
    ("motion", -0.077, 0.124),
    ("wide motion", 0.243, 0.103),
    ("ground motion", -0.082, -0.419),
    ("motion of part", 0.511, 0.028),
    ("ground motion of part", -1.351, 0.861),
    ("edges", -0.422, -3.723),
    ("edges relative", -0.411, -0.227),
    ("distance", -0.391, 0.003),
    ("distance across", -7.455, -2.971),
    ("rim", -1.550, -0.351),
    ("plate", -0.325, -0.481),
    ("plate of part", -0.124, 1.386),
    ("carried", -0.353, -0.509),
    ("carried of part", 1.107, -1.080),
    ("enclosed", 0.000, 2.363),
    ("seeded", -0.567, 1.084),
    ("part size", 0.100, -0.021),
    ("taken", -2.493, -5.692),
)
FIRST = tuple(first for _, first, _ in _ROWS)
LATER = tuple(later for _, _, later in _ROWS)
TRUST = (-8.1, 0.0, -1.2, 10.7, -0.2)
"""Confidence: a constant, sure, change of area, sure at the prompt, log of age."""
