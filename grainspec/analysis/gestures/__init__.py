"""What a gesture in the picture writes into the text of a spec.

A click is a `point(…)` of `track(…)`, a drag a `box(…)`, a lasso a `polygon(…)`, a painted mask
`masks("…")`. The edits change what the gesture is about and nothing else: no other number, comment
or line break. The text after them can be read, and has no error that it had not before.
"""

from grainspec.analysis.gestures.edits_of import GestureResult, gesture_edits
from grainspec.analysis.gestures.gesture import Gesture

__all__ = ["Gesture", "GestureResult", "gesture_edits"]
