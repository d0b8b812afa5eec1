"""The studio's web application: its one description of the API that the page uses.

Everything is served on the loopback address. `/?token=TOKEN` sets the cookie that all other
requests need, and redirects to `/`. Frames are numbered as in the source clip, from 0, everywhere.
Paths are relative to the folder of the spec, with `/`. Points, boxes and sizes are fractions of the
source frame's width and height unless stated otherwise.

The page::

    GET  /                     the page. Each `{{nonce}}` in index.html is replaced by the nonce of
                               the Content-Security-Policy, for styles that scripts insert
    GET  /{file}               the files of the built page

The spec::

    GET  /api/spec             {path, text, version, root}; 404 G730 while no spec is open
    PUT  /api/spec             {path, text, version} -> {version, gone}. 409 G726 if the file was
                               changed by another program since that version, or another spec is
                               open now: all pages of a studio have one spec. Writes the file, with
                               or without mistakes in it; anew if it is `gone`: deleted or renamed
    POST /api/new              {clip: PATH} -> {path, text, version, clip}: writes a first spec for
                               a clip of the folder, and opens it. Clip and spec are found or made
                               with free names; no file is replaced
    POST /api/new?name=NAME    the same with the bytes of a clip as the body
                               (application/octet-stream), which is stored in the folder
    POST /api/open             {path} -> {path, text, version, root}: opens a spec of the folder,
                               or again one that was open before; 404 G727 if there is none of the
                               name, 403 G723 for one elsewhere
    GET  /api/specs            {specs: [NAME]}: the specs in the folder, for `POST /api/open`
    GET  /api/clips            {clips: [PATH]}: the clips in the folder, for `POST /api/new`

The clip of the saved spec, or of `text` where one is sent::

    GET  /api/clip             {path, width, height, frames, fps, used: [first, last, step]}
    POST /api/clip             {text} -> the same of an unsaved text
    GET  /api/clip/frames/{n}  JPEG, as a player shows it. `?width=W` scales it down. `&path=PATH`
                               names the clip, if not that of the saved spec. `&v=ANY` is ignored;
                               no response is kept by the browser

Regions, plan: of an unsaved text, which is not written. `variant` may be left out or null::

    POST /api/regions          {text, frame, variant} -> {regions, findings, mask, frame, box}
                               regions: [{name, colour: "#rrggbb", share, confidence, doubtful,
                                          lost, tracked, empty, use: "edit"|"keep"|"free"|null,
                                          phrase}]; share is that of the edited part of the frame;
                               tracked is null for regions without clicks and words, confidence
                               is null unless the masks of all are current
                               findings: [{code, severity, message, cure, line, column, …}] of the
                               text and of this frame's regions, in the form of `grain check
                               --format json`; all that the check finds, the language server tells
                               mask: a key for the pictures; null if the text has errors
                               frame: the frame drawn: the nearest that the spec uses
                               box: [x0, y0, x1, y1], the part of the frame that is edited
    GET  /api/masks/{key}/{name}/{n}
                               PNG of the whole source frame, white on transparent, at the size of
                               the edit: scale it over the frame. It is what the region's edit
                               changes; with `?of=region`, also what other regions have of it. 404
                               G727 once it is forgotten
    POST /api/plan             {text, variant} -> what `grain plan --format json` prints. It does
                               not track: 409 G354 if regions are not tracked
    POST /api/masks            {region, frame, png, path, text} -> {path, text}: stores a painted
                               mask (base64; opaque and bright pixels are the region) under a free
                               name: masks/painted/SPEC/REGION/00012.png, 00012-2.png, …; the
                               answer's `text` is the expression that reads it. Of a region of the
                               sent text that has masks of all frames, it is a new folder
                               `…/REGION/frames` of all of them; 422 G731 if they are no plain
                               images. 409 G726 if `path` is sent, and is not the spec that is open;
                               so of jobs

Jobs. One runs at a time, in a process of its own; the others wait::

    GET  /api/jobs             {jobs: [JOB]}, the newest last
    POST /api/jobs             {kind: "track"|"run", text, variant, path, sets: ["NAME=VALUE"]}
                               -> JOB. `variant` may be "all". 422 with the findings if the text
                               has errors
    GET  /api/jobs/{id}        JOB
    DELETE /api/jobs/{id}      cancels it -> JOB. Tracked frames, a finished inversion and sampling
                               steps are kept: the same job posted again resumes, if `resumes`. An
                               inversion that was not finished starts again
    JOB                        {job, revision, kind, variant, state: "waiting"|"running"|
                                "cancelling"|"done"|"failed"|"cancelled", stage, done, total,
                                message, seconds,
                                runs: [NAME], error: FINDING|null, findings: [FINDING], resumes}
                               `revision` counts its changes: of two answers the later one is true.
                               `stage`, `done` and `total` are the progress bar; `total` 0 is
                               unknown. `message` is a line for people. `findings` has warnings
                               as soon as the command tells them. A run replaces no earlier one:
                               it is written to runs/SPEC, or to the first free one of runs/SPEC-2,
                               runs/SPEC-3, … A job that was cancelled resumes in its folder
    WS   /api/events           JSON messages from the server: every JOB on opening and whenever it
                               changes; {spec: {path, version}} when the file changes,
                               or another spec is opened; version "" when it is gone

Runs: the folders below runs/ that `grain run` wrote::

    GET  /api/runs             {runs: [{name, variant, made, seconds, passes, warnings, complete,
                                own, frames: [n], box, width, height, fps, target, report,
                                difference_gain, changes, same}]}, the newest first. `made` is in
                               seconds since 1970; `own` if it is of this spec; `passes` are those
                               through the denoiser, null of a run that was resumed; `complete` is
                               false if files are missing; `warnings` are [{code, message, cure}],
                               and the difference is multiplied by `difference_gain`. `changes` are
                               the settings that are not those of the run before it, of the same
                               spec and variant; `same` is the name of the newest earlier run with
                               the same result, or null
    GET  /api/runs/{name}/frames/{n}?of=edited|source|difference
                               PNG of the edited part, `box` of the frame. The difference is the
                               absolute one times `difference_gain`, up to 255
    GET  /api/runs/{name}/report
                               the run's HTML report, sandboxed: show it in an <iframe>

The language server::

    WS   /api/language         JSON-RPC of the Language Server Protocol, one message a text frame.
                               The document's URI is that of the file: `file://` + root + path

Errors are ``{code, message, cure, span, findings}`` with a fitting status; `span` is {line, column,
end_line, end_column} or null, and `findings` are all of them, in the form above. 401 G721
without the token's cookie: open the address that `grain studio` printed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from grainspec.diagnostics import GrainError, fail
from grainspec_runtime.studio.errors import Refused, error_response
from grainspec_runtime.studio.guard import Guard
from grainspec_runtime.studio.routes import routes
from grainspec_runtime.studio.studio import Studio


def studio_app(studio: Studio, *, cookie: str = "grain_studio") -> ASGIApp:
    """The web application of a studio, an ASGI callable; ``cookie`` is the name of its cookie.

    Studios at several ports share the cookies of a browser, so their names differ.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with studio.running():
            yield

    kinds = (GrainError, Refused, HTTPException, Exception)
    handlers = dict.fromkeys(kinds, _answer_error)
    app = Starlette(routes=routes(studio), lifespan=lifespan, exception_handlers=handlers)
    return Guard(app, studio.tokens, cookie)


async def _answer_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return error_response(error)
    response = error_response(fail("G727", "the studio has no such address", "Reload the page."))
    response.status_code = error.status_code
    return response
