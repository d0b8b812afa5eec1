"""How much one page may ask of the studio; SECURITY.md lists these limits."""

from __future__ import annotations

MAX_BODY_BYTES = 8_000_000
"""A request's JSON, of which a spec's text is the most."""
MAX_PICTURE_BYTES = 16_000_000
"""A painted mask, as PNG."""
MAX_UPLOAD_BYTES = 1 << 32
"""An uploaded clip."""
MAX_UPLOADS = 100
"""Uploads until the studio is started again; one at a time."""
MAX_WAITING = 20
"""Jobs that wait, and finished jobs that are remembered."""
MAX_SOCKETS = 32
"""Open WebSockets."""
MAX_CACHED_BYTES = 1 << 27
"""Pictures, and as much again of masks, that are kept to be sent again."""
MAX_WIDTH = 4096
"""Pixels of the width to which a frame is scaled."""
SECONDS_TO_WAIT = 30.0
"""Seconds in which the next piece of a request has to arrive, or a message be taken."""
