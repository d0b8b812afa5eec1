"""The stable code of every diagnostic, with its title.

G0.. text and statements, G1.. names and meaning, G2.. settings and values, G3.. video, masks and
regions, G4.. plans, G5.. models and runs. A code never gets another meaning.
"""

from __future__ import annotations

from typing import Literal

Severity = Literal["error", "warning"]

ERRORS: dict[str, str] = {
    "G001": "unexpected word or symbol",
    "G002": "a string is not closed",
    "G003": "unexpected character",
    "G004": "an expression is nested too deeply",
    "G005": "the language version is missing or not supported",
    "G006": "the file is not UTF-8 text, or is too large",
    "G007": "duplicate statement",
    "G008": "a required statement is missing",
    "G009": "the JSON document does not match the schema",
    "G010": "a statement is not allowed in a variant, or only in a variant",
    "G011": "a bracket is not closed",
    "G012": "a path contains a backslash",
    "G013": "the file is JSON or YAML, not a spec in the .grain language",
    "G101": "unknown region",
    "G102": "two regions or two variants have the same name",
    "G104": "an edit's words are not in the target prompt",
    "G105": "two edits use the same words",
    "G106": "regions are defined in terms of each other",
    "G107": "a region is both kept and edited",
    "G108": "the spec has no edit",
    "G109": "a region is edited twice, or owns itself, directly or through others",
    "G110": "`without` has nothing to remove",
    "G201": "unknown setting",
    "G202": "a value has the wrong kind or unit",
    "G203": "a value is out of range",
    "G204": "a setting has no value, or is given twice",
    "G205": "a region source is unknown, or is used incorrectly",
    "G301": "the video does not exist",
    "G302": "the video cannot be read",
    "G303": "a frame is past the end of the video",
    "G304": "no masks found",
    "G305": "a frame has no mask",
    "G306": "a mask does not have the video's size",
    "G307": "a region is empty on every frame",
    "G308": "a mask cannot be read, or its values are ambiguous",
    "G309": "a shape lies outside the frame, or has no area",
    "G310": "the output cannot be written",
    "G311": "the spec cannot be read",
    "G313": "a part lies outside its owner",
    "G314": "the model does not support the video's size or number of frames",
    "G317": "a folder does not contain a complete run",
    "G320": "the shades or objects of masks are ambiguous",
    "G322": "the frame numbers in file names are ambiguous",
    "G323": "masks are in a format that is not read",
    "G325": "an index selects what several objects have in common",
    "G326": "a mask video does not match the clip",
    "G330": "a file is not a video, or not one in a supported container",
    "G340": "another run is writing the output folder",
    "G346": "a glob of masks leads elsewhere, or matches too many files",
    "G349": "the current folder does not exist",
    "G402": "an edit's words exceed the text encoder's token limit",
    "G404": "the plan does not match the model or the clip",
    "G405": "a plan file cannot be read",
    "G410": "a plan would replace the attention of another method",
    "G411": "a pipeline's embeddings cannot be compared with the plan's target",
    "G412": "the noise level of a pipeline's step is not known",
    "G413": "a pipeline's denoiser is already in use",
    "G414": "a pipeline runs its denoiser in a way that a plan does not support",
    "G415": "a pipeline's denoiser was replaced under a plan",
    "G501": "a required package is not installed",
    "G502": "the model's folder is missing or incomplete",
    "G503": "the model cannot be downloaded",
    "G504": "the model's architecture is not supported",
    "G505": "the model produced NaN or infinity",
    "G506": "out of memory",
    "G507": "the components of a model do not match",
    "G508": "a LoRA or textual inversion cannot be used",
    "G519": "a depth model does not fit the control",
    "G524": "the model is distilled and cannot be inverted",
    "G527": "a file is not a checkpoint",
    "G528": "a model's configuration is not accepted",
    "G529": "a package's version is not supported",
    "G545": "an option does not suit the model",
    "G546": "the model cannot follow a control",
    "G547": "variants with `control inpaint` edit other regions",
    "G550": "a cache of diffusers does not go with a plan",
    "G551": "a plan does not support a clip that is divided between devices",
    "G900": "an internal error",
}

WARNINGS: dict[str, str] = {
    "G103": "a region is not used",
    "G111": "a statement or setting has no effect",
    "G115": "a prompt has syntax of another tool",
    "G116": "a prompt has invisible characters",
    "G117": "FlowEdit's source prompt is missing, or is the target prompt",
    "G118": "FlowEdit's source prompt is guided more strongly than its target",
    "G312": "the regions of two edits overlap",
    "G315": "a region is empty on some frames",
    "G316": "a part extends beyond its owner",
    "G321": "masks are partly grey",
    "G324": "masks are not matched to frames by number, or their count or rate differs",
    "G333": "frames of the video are transparent",
    "G334": "the video is HDR",
    "G335": "a crop takes a part of a region",
    "G336": "the numbers of the frames' files do not begin at 0",
    "G341": "the edited clip loses its sound",
    "G401": "a region is too small for a level of the model",
    "G403": "a prompt exceeds the text encoder's token limit",
    "G416": "a plan modulated no step",
    "G510": "the demo model does not know a word",
    "G511": "the demo model cannot reproduce the clip",
    "G512": "a cache entry is damaged",
    "G518": "a run may not fit in memory",
    "G521": "a text token covers more than an edit's words",
    "G522": "a word in angle brackets is not loaded",
    "G525": "the model may not suit editing",
    "G526": "a LoRA fits the model only in part",
}


def severity_of(code: str) -> Severity:
    """Return ``error`` or ``warning``; raise KeyError for an unknown code."""
    if code in ERRORS:
        return "error"
    if code in WARNINGS:
        return "warning"
    raise KeyError(code)
