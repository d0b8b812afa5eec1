"""What takes long to find out about a document: its clip, masks, model, and regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from grainspec.analysis.document import MAX_ANALYSED, Document
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.diagnostics.diagnostic import reason_of
from grainspec.model.settings.profiles import Profile


@dataclass(frozen=True)
class FileFacts:
    """What the files of a spec say: findings, and each region's share of the first frame.

    ``frames`` is the number of frames that it uses; None if it is not known.
    ``profile`` is that of the model, if its configuration is on this machine.
    """

    findings: tuple[Diagnostic, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    profile: Profile | None = None
    frames: int | None = None


class _Cancelled(Exception):
    pass


def check_document(
    document: Document, cancelled: Callable[[], bool] = lambda: False
) -> FileFacts | None:
    """Check the files of a document as ``grain check`` does; None if it was cancelled.

    A text with errors, or one of no file, has no findings here; that of a long one is checked too.
    """
    if len(document.text) > MAX_ANALYSED and document.findings:
        return None if cancelled() else FileFacts()
    spec, folder = document.spec, document.folder
    if spec is None or folder is None or document.path is None:
        return FileFacts()

    def progress(done: int, total: int) -> None:
        if cancelled():
            raise _Cancelled

    from grainspec.checking import check_all, outlined_model

    profile: Profile | None = None
    try:
        spec = spec.in_folder(folder, document.path.name)
        document.require_files(spec)
        report = check_all(spec, folder, progress=progress)
        frame = None if cancelled() else document.first_frame
        with suppress(GrainError):
            known = outlined_model(spec, folder)
            profile = known.backbone.profile if known is not None else None
    except _Cancelled:
        return None
    except GrainError as error:
        return FileFacts(error.diagnostics)
    except Exception as error:  # one document's fault must not end the server
        message = f"internal error: {type(error).__name__}: {reason_of(error)[:200]}"
        return FileFacts((Diagnostic("G900", message, "Please report it."),))
    if frame is None:
        return FileFacts(report.findings, profile=profile)
    return FileFacts(report.findings, frame.shares, profile, frame.count)
