"""How a run made its edit, for its report."""

from __future__ import annotations

from typing import Any

_NAMES = {
    "invert_and_sample": "inversion, then sampling under the plan",
    "flow_edit": "FlowEdit (arXiv 2412.08629)",
    "tokenflow": "TokenFlow (arXiv 2307.10373)",
    "controlvideo": "ControlVideo (arXiv 2305.13077)",
    "ground_a_video": "Ground-A-Video (arXiv 2310.01107)",
    "dmt": "DMT (arXiv 2311.17009)",
    "dfvedit": "DFVEdit (arXiv 2506.20967)",
    "fatezero": "FateZero (arXiv 2303.09535)",
    "video_p2p": "Video-P2P (arXiv 2303.04761)",
}


def method(manifest: dict[str, Any], taken: int) -> dict[str, Any]:
    """Return the rows of the section, from a manifest whose values may be anything.

    ``taken`` is the number of steps that the edit took.
    """
    process, sampler = manifest.get("process"), manifest["spec"].get("sampler")
    if not isinstance(process, str) or not isinstance(sampler, dict):
        return {}
    rows = {"process": _NAMES.get(process, process)}
    if process == "flow_edit":
        source, target = sampler.get("source_guidance"), sampler.get("guidance")
        rows["steps"] = f"{taken} of {sampler.get('steps')}, without the noisiest"
        rows["guidance"] = f"{source} for the source prompt, {target} for the target prompt"
    return {**rows, "denoiser passes": manifest.get("denoiser_passes")}
