"""The language server as editors use it: the real process, every request."""

from __future__ import annotations

import asyncio
import base64
import random
import re
import sys
from contextlib import suppress
from importlib.util import find_spec
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from clips import EXAMPLES, ClipFolder
from PIL import Image

pytest.importorskip("pygls")
pytest.importorskip("pytest_lsp")

import pytest_lsp
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities
from pytest_lsp.client import make_test_lsp_client

from grainspec import parse_all
from grainspec.analysis.document import Document
from grainspec.analysis.tokens import KINDS, coloured
from grainspec.language_server.drawing import plain
from grainspec.language_server.features import FEATURES
from grainspec.text.format import format_text

pytestmark = pytest.mark.asyncio(loop_scope="module")
COMMAND = [sys.executable, "-m", "grainspec", "language-server"]
PUBLISHED = types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS
SPECS = sorted(EXAMPLES.glob("*.grain"))
BEAR = 'grain 1\nvideo "c.mp4"\ntarget "a 🐻 bear, 熊 and e\u0301"\nregion sky = all\n'


def recording() -> LanguageClient:
    """A client that keeps all findings that are published, with their versions."""
    made = make_test_lsp_client()
    published: list[types.PublishDiagnosticsParams] = []
    made.published = published
    handlers = made.protocol.fm.features
    before = handlers[PUBLISHED]

    def record(params: types.PublishDiagnosticsParams) -> None:
        made.published.append(params)
        before(params)

    handlers[PUBLISHED] = record
    made.asked = set()
    send = made.protocol.send_request

    def asking(method: str, *given: Any, **more: Any) -> Any:
        made.asked.add(method)
        return send(method, *given, **more)

    made.protocol.send_request = asking
    return made


@pytest_lsp.fixture(
    scope="module",
    config=ClientServerConfig(server_command=COMMAND, client_factory=recording),
)
async def client(lsp_client: LanguageClient):
    capabilities = client_capabilities("visual-studio-code")
    folder = types.WorkspaceFolder(EXAMPLES.as_uri(), "examples")
    await lsp_client.initialize_session(
        types.InitializeParams(capabilities=capabilities, workspace_folders=[folder])
    )
    yield
    await lsp_client.shutdown_session()


class Editor:
    """One open document."""

    count = 0

    def __init__(self, client: LanguageClient, text: str, path: Path | None = None) -> None:
        Editor.count += 1
        self.client, self.text, self.version = client, text, 1
        self.uri = path.as_uri() if path else f"untitled:Untitled-{Editor.count}"
        self.seen = len(client.published)
        item = types.TextDocumentItem(self.uri, "grain", 1, text)
        client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    @property
    def name(self) -> types.TextDocumentIdentifier:
        return types.TextDocumentIdentifier(self.uri)

    @property
    def document(self) -> Document:
        return Document(self.text, None)

    def position(self, of: str, after: int = 0) -> types.Position:
        """The position of some characters, or some characters into them."""
        return types.Position(*self.document.positions.position(self.text.index(of) + after))

    def at(self, of: str, after: int = 0) -> dict[str, Any]:
        return {"text_document": self.name, "position": self.position(of, after)}

    def whole(self) -> types.Range:
        end = self.document.positions.position(len(self.text))
        return types.Range(types.Position(0, 0), types.Position(*end))

    def change(self, start: int, end: int, new: str) -> None:
        """Replace characters, and tell the server what changed."""
        place = self.document.positions.position
        where = types.Range(types.Position(*place(start)), types.Position(*place(end)))
        self.text = self.text[:start] + new + self.text[end:]
        self.version += 1
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self.version, self.uri),
                [types.TextDocumentContentChangePartial(where, new)],
            )
        )

    def edited(self, edits: list[types.TextEdit] | None) -> str:
        """The text after edits."""
        text, places = self.text, self.document.positions
        for edit in sorted(
            edits or [], key=lambda e: (e.range.start.line, e.range.start.character), reverse=True
        ):
            start = places.offset(edit.range.start.line, edit.range.start.character)
            end = places.offset(edit.range.end.line, edit.range.end.character)
            text = text[:start] + edit.new_text + text[end:]
        return text

    async def findings(self, *, count: int = 1) -> list[types.Diagnostic]:
        """The findings about the current version: the first that are published, or later ones."""
        for _ in range(3000):
            own = [one for one in self.client.published[self.seen :] if one.uri == self.uri]
            own = [one for one in own if one.version == self.version]
            if len(own) >= count:
                return list(own[-1].diagnostics)
            await asyncio.sleep(0.01)
        raise TimeoutError(self.uri)

    def close(self) -> None:
        self.client.text_document_did_close(types.DidCloseTextDocumentParams(self.name))


def shown(editor: Editor, where: types.Range) -> str:
    """The characters of a range."""
    places = editor.document.positions
    start = places.offset(where.start.line, where.start.character)
    return editor.text[start : places.offset(where.end.line, where.end.character)]


# --- findings and corrections --------------------------------------------------------------------


async def test_findings(client: LanguageClient) -> None:
    editor = Editor(client, BEAR + 'edit 🐻 -> "bear"\nedit skyy -> "熊"\ntarget "🐻"')
    found = {one.code: one for one in await editor.findings()}
    unknown, twice = found["G101"], found["G007"]
    assert shown(editor, unknown.range) == "skyy"
    assert "Did you mean `sky`?" in unknown.message
    assert unknown.severity == types.DiagnosticSeverity.Error
    assert unknown.code_description.href.endswith("explanations.md#g101")
    (related,) = twice.related_information
    assert shown(editor, related.location.range).startswith('"a 🐻')
    unused = Editor(client, BEAR.replace("sky", "sea") + "region sky = all\nkeep sky")
    (warning,) = [one for one in await unused.findings() if one.code == "G103"]
    assert list(warning.tags) == [types.DiagnosticTag.Unnecessary]


async def test_corrections(client: LanguageClient) -> None:
    editor = Editor(client, BEAR + "edit skyy => “bear”\n")
    await editor.findings()
    context = types.CodeActionContext([])
    where = types.Range(editor.position("=>"), editor.position("=>"))
    asked = types.CodeActionParams(editor.name, where, context)
    found = await client.text_document_code_action_async(asked)
    fixes = [one for one in found if one.kind == types.CodeActionKind.QuickFix]
    assert fixes[0].is_preferred
    assert "=>" not in editor.edited(fixes[0].edit.changes[editor.uri])
    only = types.CodeActionContext([], only=["source.fixAll"])
    asked = types.CodeActionParams(editor.name, editor.whole(), only)
    (all_fixed,) = await client.text_document_code_action_async(asked)
    corrected = editor.edited(all_fixed.edit.changes[editor.uri])
    assert corrected == BEAR + 'edit skyy -> "bear"\n'
    editor.change(0, len(editor.text), corrected)
    await editor.findings()
    where = types.Range(editor.position("skyy"), editor.position("skyy"))
    asked = types.CodeActionParams(editor.name, where, context)
    (guess,) = await client.text_document_code_action_async(asked)
    assert guess.title == "Replace `skyy` by `sky`"
    assert not guess.is_preferred


async def test_findings_about_files_follow(client: LanguageClient, tmp_path: Path) -> None:
    clip = ClipFolder(tmp_path)
    editor = Editor(client, clip.spec_text(), tmp_path / "edit.grain")
    assert await editor.findings(count=2) == []
    (tmp_path / "left" / "00002.png").unlink()
    client.text_document_did_save(types.DidSaveTextDocumentParams(editor.name))
    (missing,) = await editor.findings(count=3)
    assert missing.code == "G305"
    assert shown(editor, missing.range) == 'masks("left")'
    editor.change(0, 0, "# ")
    assert [one.code for one in await editor.findings()] == ["G005"]
    editor.close()
    gone = tmp_path / "gone.grain"
    other = Editor(client, clip.spec_text(video='video "no.mp4"'), gone)
    assert [one.code for one in await other.findings(count=2)] == ["G301"]


async def test_a_closed_document_has_no_findings(client: LanguageClient) -> None:
    editor = Editor(client, "region")
    await editor.findings()
    editor.close()
    last = None
    while last is None or last.diagnostics:
        last = [one for one in client.published if one.uri == editor.uri][-1]
        await asyncio.sleep(0.01)
    assert await client.text_document_hover_async(types.HoverParams(**editor.at("reg"))) is None


# --- every request, on every example -------------------------------------------------------------


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
async def test_an_example(client: LanguageClient, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    editor = Editor(client, text, path)
    assert await editor.findings() == []
    client.asked.clear()
    await ask_everything(client, editor)
    messy = re.sub(r"(?m)^    ", "\t", text.replace(" = ", "  =  "))
    editor.change(0, len(text), messy)
    options = types.FormattingOptions(4, True)
    edits = await client.text_document_formatting_async(
        types.DocumentFormattingParams(editor.name, options)
    )
    assert editor.edited(edits) == format_text(messy) == text
    editor.change(0, len(messy), text)
    await gesture(client, editor)
    requests = {feature.method for feature in FEATURES} - {*NOTIFICATIONS, "grain/newSpec"}
    assert client.asked >= requests
    editor.close()


NOTIFICATIONS = (types.TEXT_DOCUMENT_DID_SAVE, types.WORKSPACE_DID_CHANGE_WATCHED_FILES)


async def gesture(client: LanguageClient, editor: Editor) -> None:
    """Draw a box into each region; what is written is read as it was meant."""
    for region in [one.name for one in editor.document.symbols if one.kind == "region"][:3]:
        drawn = {"kind": "box", "frame": 0, "region": region, "points": [[0.1, 0.1], [0.5, 0.5]]}
        asked = {"textDocument": {"uri": editor.uri}, "version": editor.version, "gesture": drawn}
        with suppress(JsonRpcException):  # of a region that is not drawn
            made = await client.protocol.send_request_async("grain/gesture", asked)
            edits = client.protocol._converter.structure(plain(made.edits), list[types.TextEdit])
            assert parse_all(editor.edited(edits)).spec is not None


async def ask_everything(client: LanguageClient, editor: Editor) -> None:
    """Send each request, and compare what is easily compared."""
    name, document = editor.name, editor.document
    tokens = await client.text_document_semantic_tokens_full_async(types.SemanticTokensParams(name))
    assert read_tokens(document, tokens.data) == [tuple(one) for one in coloured(document)]
    part = await client.text_document_semantic_tokens_range_async(
        types.SemanticTokensRangeParams(name, editor.whole())
    )
    assert part.data == tokens.data
    symbols = await client.text_document_document_symbol_async(types.DocumentSymbolParams(name))
    regions = [one.name for one in symbols if one.kind == types.SymbolKind.Variable]
    assert regions == re.findall(r"(?m)^region (\w+)", document.plain)
    for fold in await client.text_document_folding_range_async(types.FoldingRangeParams(name)):
        assert fold.start_line < fold.end_line
    lenses = await client.text_document_code_lens_async(types.CodeLensParams(name))
    assert {one.command.command for one in lenses} <= {"grain.show", "grain.plan", "grain.run"}
    assert all(one.command.arguments[0]["uri"] == editor.uri for one in lenses)
    await client.text_document_inlay_hint_async(types.InlayHintParams(name, editor.whole()))
    await client.text_document_document_link_async(types.DocumentLinkParams(name))
    with suppress(JsonRpcException):  # of what is no text
        await client.protocol.send_request_async(
            "grain/shapes", {"textDocument": {"uri": editor.uri}, "frame": 0}
        )
    places = [match.start() for match in re.finditer(r"\b", document.plain)]
    for offset in places[:: max(1, len(places) // 12)]:
        where = types.Position(*document.positions.position(offset))
        at = {"text_document": name, "position": where}
        await client.text_document_completion_async(types.CompletionParams(**at))
        await client.text_document_hover_async(types.HoverParams(**at))
        await client.text_document_definition_async(types.DefinitionParams(**at))
        used = types.ReferenceParams(types.ReferenceContext(True), **at)
        await client.text_document_references_async(used)
        await client.text_document_document_highlight_async(types.DocumentHighlightParams(**at))
        name_here = await client.text_document_prepare_rename_async(types.PrepareRenameParams(**at))
        made = await client.text_document_rename_async(types.RenameParams(new_name="new_1", **at))
        assert bool(made) == bool(name_here)
        if made and document.spec is not None:
            renamed = parse_all(editor.edited(made.changes[editor.uri]))
            assert renamed.spec is not None, renamed.diagnostics
    everywhere = types.CodeActionParams(name, editor.whole(), types.CodeActionContext([]))
    for action in await client.text_document_code_action_async(everywhere):
        corrected = parse_all(editor.edited(action.edit.changes[editor.uri]))
        if action.is_preferred:
            assert len(corrected.diagnostics) <= len(document.findings)
    options = types.FormattingOptions(4, True)
    await client.text_document_formatting_async(types.DocumentFormattingParams(name, options))


def read_tokens(document: Document, data: list[int]) -> list[tuple[int, int, str]]:
    """The words of semantic tokens, as offsets."""
    found, line, column = [], 0, 0
    for i in range(0, len(data), 5):
        line, column = line + data[i], data[i + 1] + (0 if data[i] else column)
        start = document.positions.offset(line, column)
        end = document.positions.offset(line, column + data[i + 2])
        found.append((start, end, KINDS[data[i + 3]]))
    return found


BROKEN = [
    "",
    "\ufeff",
    'edit left -> "',
    "region a = track(point(",
    "variant v { variant w { edit",
    "sampler ddim { steps",
    "\x00\x07 \ud800 }}}} ((( ~~~~",
    'target "a\r\nb"\r\nkeep \u2028 é, 熊\rfree',
    "region r = " + "~(" * 3000,
    "{ " * 3000,
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
async def test_a_broken_text(client: LanguageClient, text: str) -> None:
    editor = Editor(client, text)
    expected = [one.code for one in parse_all(editor.document.plain).diagnostics]
    assert [one.code for one in await editor.findings()] == expected[:200]
    if "\n" not in text:
        await ask_everything(client, editor)
    editor.close()


# --- what the answers say ------------------------------------------------------------------------


def example(client: LanguageClient, stem: str) -> Editor:
    path = EXAMPLES / f"{stem}.grain"
    return Editor(client, path.read_text(encoding="utf-8"), path)


async def test_completion(client: LanguageClient) -> None:
    editor = example(client, "instance")

    async def complete(before: str) -> dict[str, types.CompletionItem]:
        at = editor.at(before, len(before))
        found = await client.text_document_completion_async(types.CompletionParams(**at))
        return {one.label: one for one in found.items}

    words = await complete('-> "green')
    assert next(iter(words)) == "green robot"
    assert editor.edited([words["cherry trees"].text_edit]).count('"cherry trees"') == 2
    assert "bound to `right`" in words["yellow bear"].detail
    steps = (await complete("ddim { "))["steps"]
    assert "whole number, 1 to 1000" in steps.detail
    assert "Default: `50`" in steps.documentation.value
    assert {"left", "right", "class", "instance", "part"} <= set(await complete("edit "))
    assert set(await complete('masks("masks/')) >= {"two_men/", "two_cats/"}
    video = await complete('video "clips/')
    assert "two_bears.mp4" in video
    assert editor.edited([video["two_bears.mp4"].text_edit]).count("two_bears.mp4") == 1
    methods = await complete("sampler ")
    assert methods.keys() >= {"ddim", "unipc"}
    end = len(editor.text)
    editor.change(end, end, "\n")
    at = types.Position(*editor.document.positions.position(end + 1))
    found = await client.text_document_completion_async(types.CompletionParams(editor.name, at))
    statements = {one.label: one for one in found.items}
    assert "variant" in statements
    assert "without" not in statements
    assert "video" not in statements
    assert statements["keep"].insert_text_format == types.InsertTextFormat.Snippet


async def test_hover(client: LanguageClient) -> None:
    editor = example(client, "instance")

    async def hover(of: str, after: int = 1) -> str:
        found = await client.text_document_hover_async(types.HoverParams(**editor.at(of, after)))
        return found.contents.value if found else ""

    region = await hover("left")
    assert "14% of frame 0" in region
    data = re.search(r"data:image/png;base64,([\w+/=]+)", region)
    picture = Image.open(BytesIO(base64.b64decode(data[1])))
    assert max(picture.size) <= 240
    assert "words 2 to 3 of 12" in await hover('"green robot"', 3)
    if find_spec("transformers"):  # the server asks the runtime, and says so until it knows
        said = await hover('"green robot"', 3)
        while "being looked up" in said:
            await asyncio.sleep(0.05)
            said = await hover('"green robot"', 3)
        assert "2 text tokens of `demo`: `green` `robot` · positions 2 and 3 of 48" in said
    assert "bound to `right`" in await hover("yellow bear on grass", 3)
    assert "8 frames of 192 × 192 pixels" in await hover("clips/two_men")
    assert "1 to 1000" in await hover("steps 30")
    end = editor.text.index("sampler ddim")
    editor.change(end, end, 'attention { until 50%  frames full }\nedit leftt -> "bear"\n')
    assert "Here: `50%`, with the profile `demo`" in await hover("until")
    assert "By profile: `stable_diffusion` `30%`, `videograin` `30%`" in await hover("until")
    assert "**G101** unknown region" in await hover("leftt")


async def test_definitions_and_references(client: LanguageClient) -> None:
    editor = example(client, "instance")

    async def defined(of: str, after: int = 1) -> list[types.Location]:
        at = editor.at(of, after)
        return await client.text_document_definition_async(types.DefinitionParams(**at))

    (place,) = await defined("left  ->")
    assert shown(editor, place.range) == "left"
    assert place.range.start == editor.position("left   =")
    (words,) = await defined('"green robot"', 4)
    assert words.range.start == editor.position("green robot")
    (edit,) = await defined("green robot and")
    assert edit.range.start == editor.position('"green robot"', 1)
    (mask,) = await defined("masks/two_men/left")
    assert Path(mask.uri.removeprefix("file://")).parent == EXAMPLES / "masks/two_men/left"
    at = editor.at("left  ->", 1)
    used = types.ReferenceParams(types.ReferenceContext(False), **at)
    assert len(await client.text_document_references_async(used)) == 1


async def test_rename(client: LanguageClient) -> None:
    editor = example(client, "variants")

    async def rename(new: str, of: str = "left  =") -> str:
        made = await client.text_document_rename_async(
            types.RenameParams(new_name=new, **editor.at(of, 1))
        )
        return editor.edited(made.changes[editor.uri])

    renamed = await rename("熊_1")
    assert renamed.count("熊_1") == 4
    assert "variant left" in renamed
    assert parse_all(renamed).spec is not None
    for name, code in {"right": "G102", "all": "G202", "1a": "G202", "": "G202"}.items():
        with pytest.raises(JsonRpcException, match=code) as refused:
            await rename(name)
        assert refused.value.code == -32803
    assert "variant other" in await rename("other", "left {")


async def test_hints_and_lenses(client: LanguageClient) -> None:
    editor = example(client, "variants")
    await editor.findings(count=2)
    found = await client.text_document_inlay_hint_async(
        types.InlayHintParams(editor.name, editor.whole())
    )
    labels = [one.label for one in found]
    assert labels[:2] == ["14%", "13%"]
    assert labels[2] == "cross 0.86, self 0.26"
    assert "profile `demo`" in found[2].tooltip.value
    lenses = await client.text_document_code_lens_async(types.CodeLensParams(editor.name))
    runs = [one for one in lenses if one.command.command == "grain.run"]
    variants = [one.command.arguments[0]["variant"] for one in runs]
    assert variants == [None, "swapped", "left", "right"]


async def test_gestures(client: LanguageClient) -> None:
    editor = example(client, "tracked")
    at = {"uri": editor.uri}
    shapes = await client.protocol.send_request_async(
        "grain/shapes", {"textDocument": at, "frame": 0}
    )
    assert [(one["region"], one["kind"], one["inside"]) for one in shapes] == [
        ("left", "point", True),
        ("middle", "point", True),
        ("right", "point", True),
    ]
    gesture = {"kind": "not_point", "frame": 0, "region": "left", "points": [[0.5, 0.5]]}
    asked = {"textDocument": at, "version": 1, "gesture": gesture}
    made = await client.protocol.send_request_async("grain/gesture", asked)
    assert [edit.newText for edit in made.edits] == [", not point(50%, 50%)"]
    with pytest.raises(JsonRpcException):
        await client.protocol.send_request_async("grain/gesture", {**asked, "version": 7})
    with pytest.raises(JsonRpcException, match="G710"):
        await client.protocol.send_request_async("grain/gesture", {**asked, "gesture": {}})
    clip = {"clip": str(EXAMPLES / "clips/two_men.mp4")}
    new = await client.protocol.send_request_async("grain/newSpec", clip)
    assert parse_all(new.text).spec is not None


# --- documents that change -----------------------------------------------------------------------


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
async def test_an_example_that_is_typed(client: LanguageClient, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    chance = random.Random(path.stem)
    editor = Editor(client, "", path)
    cuts = sorted({*chance.sample(range(len(text)), 12), len(text)})
    for start, end in pairwise([0, *cuts]):
        editor.change(start, start, text[start:end])
        at = {"text_document": editor.name, "position": editor.whole().end}
        await client.text_document_completion_async(types.CompletionParams(**at))
        await client.text_document_hover_async(types.HoverParams(**at))
        codes = [one.code for one in editor.document.findings]
        assert [one.code for one in await editor.findings()][: len(codes)] == codes[:200]
    assert await editor.findings() == []
    await ask_everything(client, editor)
    editor.close()


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
async def test_random_edits(client: LanguageClient, path: Path) -> None:
    chance = random.Random(path.stem)
    editor = Editor(client, path.read_text(encoding="utf-8"))
    texts = {1: editor.text}
    pieces = [
        "🐻",
        "熊",
        "e\u0301",
        "\r\n",
        "\u2028",
        "\n",
        '"',
        "{",
        "}",
        "edit ",
        "left",
        "#",
        "",
        "keep left\n",
    ]
    for _ in range(40):
        start = chance.randrange(len(editor.text) + 1)
        end = min(len(editor.text), start + chance.choice([0, 0, 1, 7]))
        editor.change(start, end, "".join(chance.choices(pieces, k=2)))
        texts[editor.version] = editor.text
        if chance.random() < 0.2:
            await asyncio.sleep(0.02)
        if chance.random() < 0.1:
            at = types.Position(*editor.document.positions.position(start))
            await client.text_document_completion_async(types.CompletionParams(editor.name, at))
    await editor.findings()
    tokens = await client.text_document_semantic_tokens_full_async(
        types.SemanticTokensParams(editor.name)
    )
    document = editor.document
    assert read_tokens(document, tokens.data) == [tuple(one) for one in coloured(document)]
    versions = []
    for one in client.published[editor.seen :]:
        if one.uri == editor.uri and one.version is not None:  # it was open before
            versions.append(one.version)
            expected = [found.code for found in Document(texts[one.version], None).findings]
            codes = [found.code for found in one.diagnostics]
            assert [code for code in codes if code < "G3"] == expected[:200]
    assert versions == sorted(versions)
    assert versions[-1] == editor.version
    editor.close()


async def test_changes_at_once_and_whole_texts(client: LanguageClient) -> None:
    editor = Editor(client, "keep 🐻🐻\n")
    start = types.Position(0, 5)
    changes: list[Any] = [
        types.TextDocumentContentChangePartial(types.Range(start, types.Position(0, 7)), ""),
        types.TextDocumentContentChangePartial(types.Range(start, start), "a"),
    ]
    changed = types.VersionedTextDocumentIdentifier(2, editor.uri)
    client.text_document_did_change(types.DidChangeTextDocumentParams(changed, changes))
    editor.text, editor.version = "keep a🐻\n", 2
    expected = [one.code for one in editor.document.findings]
    assert [one.code for one in await editor.findings()] == expected
    whole: list[Any] = [types.TextDocumentContentChangeWholeDocument("grain 1")]
    changed = types.VersionedTextDocumentIdentifier(3, editor.uri)
    client.text_document_did_change(types.DidChangeTextDocumentParams(changed, whole))
    editor.text, editor.version = "grain 1", 3
    assert len(await editor.findings()) == len(editor.document.findings)


async def test_a_cancelled_request_ends_nothing(client: LanguageClient) -> None:
    editor = example(client, "instance")
    for number in range(5):
        client.protocol.send_request(
            types.TEXT_DOCUMENT_HOVER, types.HoverParams(**editor.at("left")), msg_id=f"h{number}"
        )
        client.cancel_request(types.CancelParams(f"h{number}"))
    client.cancel_request(types.CancelParams("never sent"))
    assert await editor.findings() == []


async def test_workspace_folders(client: LanguageClient, tmp_path: Path) -> None:
    event = types.WorkspaceFoldersChangeEvent(
        added=[types.WorkspaceFolder(tmp_path.as_uri(), "more")], removed=[]
    )
    client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event))
    client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([]))
    editor = Editor(client, "grain 1")
    assert await editor.findings()
