"""The edit benchmark of the demo world: generated edits whose exact targets are known."""
