"""The tables of the VideoGrain paper (arXiv 2502.17258) on the demo world, measured anew."""
