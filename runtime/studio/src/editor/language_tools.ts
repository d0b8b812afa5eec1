/** What the language server knows, in the editor: completion, hover, fixes, hints, format, rename. */

import { autocompletion, type Completion, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { setDiagnostics, type Action, type Diagnostic as Mark } from "@codemirror/lint";
import { StateEffect, StateField, type Extension } from "@codemirror/state";
import { Decoration, EditorView, hoverTooltip, WidgetType, type DecorationSet } from "@codemirror/view";

import { h } from "../dom";
import { icon, type IconName } from "../icons";
import type { CodeAction, Diagnostic, LanguageClient, WorkspaceEdit } from "../language/client";
import { markdown } from "../language/markdown";
import { inPage } from "../panels/page_words";
import { toChanges, toOffset, toPosition, type Range, type TextEdit } from "../text_edits";

type Markup = string | { kind?: string; value: string } | (string | { value: string })[];

interface Item {
  label: string;
  kind?: number;
  detail?: string;
  documentation?: Markup;
  sortText?: string;
  filterText?: string;
  insertText?: string;
  textEdit?: { range?: Range; replace?: Range; newText: string };
}

/** Kinds of completion items, by the protocol's numbers, as CodeMirror names them. */
const KINDS: Record<number, string> = {
  3: "function", 5: "property", 6: "variable", 10: "property", 12: "constant", 13: "enum",
  14: "keyword", 15: "text", 17: "text", 18: "variable", 20: "enum", 21: "constant", 25: "type",
};

const KIND_ICONS: Readonly<Record<string, IconName>> = {
  keyword: "key", function: "call", property: "list", variable: "box", text: "quote",
};

function plain(markup: Markup | undefined): string {
  if (!markup) return "";
  if (typeof markup === "string") return markup;
  return Array.isArray(markup) ? markup.map(plain).join("\n\n") : markup.value;
}

function completion(item: Item): Completion {
  const type = KINDS[item.kind ?? 0];
  const text = item.textEdit?.newText ?? item.insertText ?? item.label;
  const range = item.textEdit?.range ?? item.textEdit?.replace;
  return {
    label: item.filterText ?? item.label,
    displayLabel: item.label,
    ...(item.detail ? { detail: item.detail } : {}),
    ...(type ? { type } : {}),
    ...(item.sortText ? { sortText: item.sortText } : {}),
    ...(item.documentation ? { info: () => markdown(plain(item.documentation)) } : {}),
    apply: (view, _item, from, to) => {
      if (range) {
        const start = toOffset(view.state.doc, range.start);
        if (start <= from) from = start;
        to = Math.max(to, Math.min(toOffset(view.state.doc, range.end), view.state.doc.lineAt(to).to));
      }
      view.dispatch({
        changes: { from, to, insert: text },
        selection: { anchor: from + text.length },
        userEvent: "input.complete",
      });
    },
  };
}

export async function complete(client: LanguageClient, context: CompletionContext): Promise<CompletionResult | null> {
  const word = context.matchBefore(/[\p{L}\p{N}_]+/u);
  const before = context.state.sliceDoc(context.pos - 1, context.pos);
  if (!context.explicit && !word && !/["({> ,/]/.test(before)) return null;
  const answer = await client.ask<Item[] | { items: Item[] }>("textDocument/completion", {
    position: client.position(context.pos),
    context: { triggerKind: 1 },
  });
  const items = Array.isArray(answer) ? answer : (answer?.items ?? []);
  if (!items.length) return null;
  const starts = items.flatMap(({ textEdit }) => textEdit?.range?.start ?? textEdit?.replace?.start ?? []);
  const start = starts.length ? toOffset(context.state.doc, starts[0]!) : null;
  return {
    from: start ?? word?.from ?? context.pos,
    options: items.map(completion),
    ...(start === null ? { validFor: /^[\p{L}\p{N}_]*$/u } : {}),
  };
}

const hovers = (client: LanguageClient): Extension =>
  hoverTooltip(
    async (view, pos) => {
      const answer = await client
        .ask<{ contents: Markup; range?: Range }>("textDocument/hover", { position: client.position(pos) })
        .catch(() => null);
      const text = plain(answer?.contents);
      if (!answer || !text) return null;
      const from = answer.range ? toOffset(view.state.doc, answer.range.start) : pos;
      const end = answer.range ? toOffset(view.state.doc, answer.range.end) : pos;
      return { pos: from, end, above: true, create: () => ({ dom: h("div", { class: "hover-card" }, markdown(text)) }) };
    },
    { hoverTime: 350 },
  );

/** Apply the server's edits as one change that can be undone. */
export function applyEdits(view: EditorView, edits: readonly TextEdit[], userEvent = "input.server"): boolean {
  const changes = toChanges(view.state.doc, edits);
  if (changes.length) view.dispatch({ changes, userEvent });
  return changes.length > 0;
}

/** Show findings with their fixes. Fixes arrive after the marks, in a second update. */
export async function showDiagnostics(view: EditorView, client: LanguageClient, list: Diagnostic[]): Promise<void> {
  view.dispatch(setDiagnostics(view.state, list.map((d) => mark(view, d, []))));
  if (!list.length) return;
  const doc = view.state.doc;
  const range = { start: { line: 0, character: 0 }, end: toPosition(doc, doc.length) };
  const actions = await client
    .ask<CodeAction[]>("textDocument/codeAction", { range, context: { diagnostics: list, only: ["quickfix"] } })
    .catch(() => null);
  if (!actions?.length || view.state.doc !== doc) return;
  const marks = list.map((d) => mark(view, d, actions.filter((a) => a.diagnostics?.some((of) => same(of, d))).map((a) => fix(client, a))));
  view.dispatch(setDiagnostics(view.state, marks));
}

const same = (a: Diagnostic, b: Diagnostic): boolean =>
  a.code === b.code && a.message === b.message && JSON.stringify(a.range) === JSON.stringify(b.range);

const fix = (client: LanguageClient, action: CodeAction): Action => ({
  name: action.title,
  apply: (view) => void applyEdits(view, client.editsOf(action.edit), "input.fix"),
});

function mark(view: EditorView, diagnostic: Diagnostic, actions: Action[]): Mark {
  const doc = view.state.doc;
  const from = toOffset(doc, diagnostic.range.start);
  const to = Math.max(from, toOffset(doc, diagnostic.range.end));
  const severity = ({ 1: "error", 2: "warning" } as const)[diagnostic.severity ?? 1] ?? "info";
  return {
    from, to, severity, actions,
    source: String(diagnostic.code ?? ""),
    message: inPage(diagnostic.message),
    renderMessage: () => h("div", { class: "finding-text" }, markdown(inPage(diagnostic.message)), h("span", { class: "code" }, String(diagnostic.code ?? ""))),
  };
}

const setHints = StateEffect.define<DecorationSet>();

const hintField = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(value, tr) {
    for (const effect of tr.effects) if (effect.is(setHints)) return effect.value;
    return tr.docChanged ? value.update({ filter: (from) => !tr.changes.touchesRange(from) }).map(tr.changes) : value;
  },
  provide: (field) => EditorView.decorations.from(field),
});

class Hint extends WidgetType {
  constructor(private readonly text: string) {
    super();
  }

  override eq(other: Hint): boolean {
    return other.text === this.text;
  }

  toDOM(): HTMLElement {
    return h("span", { class: "cm-hint" }, this.text);
  }
}

interface InlayHint {
  position: { line: number; character: number };
  label: string | { value: string }[];
}

/** Shares of the frame, resolved strengths: muted words after their lines, which are not part of the text. */
export async function showHints(view: EditorView, client: LanguageClient): Promise<void> {
  const doc = view.state.doc;
  const range = { start: { line: 0, character: 0 }, end: toPosition(doc, doc.length) };
  const hints = await client.ask<InlayHint[]>("textDocument/inlayHint", { range }).catch(() => null);
  if (!hints || view.state.doc !== doc) return;
  const lines = new Map<number, string[]>();
  for (const { position, label } of hints) {
    const text = Array.isArray(label) ? label.map((part) => part.value).join("") : label;
    const end = doc.lineAt(toOffset(doc, position)).to;
    lines.set(end, [...(lines.get(end) ?? []), text.trim()]);
  }
  const widgets = [...lines].map(([end, texts]) => Decoration.widget({ widget: new Hint(texts.join(" · ")), side: 1 }).range(end));
  view.dispatch({ effects: setHints.of(Decoration.set(widgets, true)) });
}

export async function format(view: EditorView, client: LanguageClient): Promise<boolean> {
  const options = { tabSize: 4, insertSpaces: true };
  const edits = await client.ask<TextEdit[]>("textDocument/formatting", { options });
  return edits ? applyEdits(view, edits, "input.format") : false;
}

export async function rename(view: EditorView, client: LanguageClient, at: number, newName: string): Promise<boolean> {
  const position = client.position(at);
  const edit = await client.ask<WorkspaceEdit>("textDocument/rename", { position, newName });
  return applyEdits(view, client.editsOf(edit), "input.rename");
}

/** Go to where the name under the cursor is defined, if that is in this file. */
export async function goToDefinition(view: EditorView, client: LanguageClient): Promise<void> {
  type Place = { uri?: string; targetUri?: string; range?: Range; targetSelectionRange?: Range };
  const position = client.position(view.state.selection.main.head);
  const answer = await client.ask<Place | Place[]>("textDocument/definition", { position });
  const place = Array.isArray(answer) ? answer[0] : answer;
  const range = place?.range ?? place?.targetSelectionRange;
  if (!range || (place?.uri ?? place?.targetUri) !== client.uri) return;
  const anchor = toOffset(view.state.doc, range.start);
  view.dispatch({ selection: { anchor, head: toOffset(view.state.doc, range.end) }, scrollIntoView: true });
}

export const languageTools = (client: LanguageClient): Extension => [
  hintField,
  hovers(client),
  autocompletion({
    override: [(context) => complete(client, context).catch(() => null)],
    maxRenderedOptions: 60,
    icons: false, // CodeMirror's are characters that many fonts lack
    addToOptions: [{ render: ({ type }) => icon(KIND_ICONS[type ?? ""] ?? "value"), position: 20 }],
  }),
];
