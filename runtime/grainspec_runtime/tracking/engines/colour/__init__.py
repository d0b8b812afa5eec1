"""The default tracker: colours, place and optical flow; no weights."""
