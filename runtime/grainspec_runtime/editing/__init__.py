"""Edit a clip: the session, the edit and its result."""
