"""The studio: a local page on which a spec is written, tracked, run and compared."""
