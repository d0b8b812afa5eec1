"""The edit benchmark of the demo world: generated edits with exact targets."""
