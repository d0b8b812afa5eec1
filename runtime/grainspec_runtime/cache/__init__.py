"""The cache: inversions for reuse, and the state of interrupted runs."""
