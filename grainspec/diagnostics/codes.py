"""Every diagnostic's stable code, with one line on what it means.

G0.. the text itself, G1.. names and meaning, G2.. values, G3.. files, G4.. the plan, G5.. models
and runs. A code is never reused for another meaning.
"""

from __future__ import annotations

from typing import Literal

Severity = Literal["error", "warning"]

ERRORS: dict[str, str] = {
    "G001": "a word or sign stands where the language does not allow it",
    "G002": "a text in quotes is never closed",
    "G003": "something that is no word, number or sign of the language",
    "G004": "an expression nests too deep",
    "G005": "the file does not say which version of the language it is written in",
    "G006": "the file is no UTF-8 text, or too large",
    "G007": "a statement that may stand only once stands twice",
    "G008": "a statement that every spec needs is missing",
    "G009": "the JSON document does not fit the schema",
    "G010": "a statement that cannot stand in a variant, or only in one",
    "G101": "a region's name that nothing defines",
    "G102": "two regions or two variants have the same name",
    "G104": "an edit's words are not in the target prompt",
    "G105": "two edits bind the same words",
    "G106": "regions are defined by each other in a circle",
    "G107": "a region is kept and edited",
    "G108": "the spec edits nothing",
    "G109": "a region is edited twice, or is its own owner, if only by way of others",
    "G110": "a variant leaves out what the spec does not say",
    "G201": "a setting that this block does not have",
    "G202": "a value of the wrong kind or unit",
    "G203": "a value out of range",
    "G204": "a setting without its value, or given twice",
    "G205": "a region source that does not exist, or used wrongly",
    "G301": "the video is not there",
    "G302": "the video cannot be read",
    "G303": "the video has fewer frames than the spec asks for",
    "G304": "no masks at the place given",
    "G305": "a mask for a frame is missing",
    "G306": "a mask is not of the video's size",
    "G307": "a region is empty on every frame",
    "G308": "masks that cannot be read, or are not plainly black and white",
    "G309": "a box lies outside the frame, or has no area",
    "G310": "a folder cannot be written to",
    "G311": "the spec's file cannot be read",
    "G313": "a part lies outside its owner",
    "G314": "the video's size is not one the model can work on",
    "G317": "a folder that holds no run, or one that is not whole",
    "G402": "an edit's words lie beyond the text encoder's window",
    "G404": "the plan does not fit the model that it is applied to",
    "G405": "a plan's file cannot be read",
    "G501": "a part of grainspec is not installed",
    "G502": "the model's folder is not there or not whole",
    "G503": "the model cannot be fetched",
    "G504": "a model of an architecture that is not supported",
    "G505": "sampling went wrong",
    "G506": "there is not enough memory",
    "G507": "the parts of a model do not fit together",
    "G508": "a LoRA or a textual inversion cannot be used",
}

WARNINGS: dict[str, str] = {
    "G103": "a region that nothing uses",
    "G312": "regions of two edits overlap",
    "G315": "a region is empty on some frames",
    "G316": "a part sticks out of its owner",
    "G401": "a region vanishes at a level of the model",
    "G403": "a prompt is longer than the text encoder's window",
    "G510": "words that the demo model never learnt",
    "G511": "a clip that is not of the demo world",
    "G512": "an entry of the cache is damaged",
}


def severity_of(code: str) -> Severity:
    """``error`` or ``warning``; raises KeyError for an unknown code."""
    if code in ERRORS:
        return "error"
    if code in WARNINGS:
        return "warning"
    raise KeyError(code)
