/** The text: CodeMirror with grain's colours, the language server, and changes that gestures make. */

import { closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, foldGutter, foldKeymap, indentUnit } from "@codemirror/language";
import { lintGutter, lintKeymap, nextDiagnostic } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState, type ChangeSet, type Extension, type Text } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from "@codemirror/view";

import type { LanguageClient } from "../language/client";
import { promptPlace, regionsOf, type Phrase, type Prompts } from "../spec_text";
import { grainLanguage } from "./highlight";
import { undoHistory } from "./history";
import { format, goToDefinition, languageTools } from "./language_tools";
import { selectedWords, wordTools } from "./words";

export interface EditorEvents {
  changed(changes: ChangeSet, before: Text, after: Text): void;
  cursor(offset: number): void;
  bind(region: string, words: Phrase): void;
  rename(at: number): void;
}

/** A place in the text that moves with what is written before it. */
export interface Followed extends Phrase {
  end(): void;
}

export class SpecEditor {
  readonly view: EditorView;
  /** Counts what the user selected and typed. */
  touched = 0;
  private readonly followed = new Set<{ from: number; to: number }>();
  private readonly extensions: Extension;

  constructor(parent: HTMLElement, nonce: string, client: LanguageClient, events: EditorEvents) {
    this.extensions = [
      nonce ? EditorView.cspNonce.of(nonce) : [],
      keymap.of(languageKeys(client, events)),
      keymap.of(bindKeys(events)),
      languageTools(client),
      wordTools(events.bind),
      usual(),
      EditorView.updateListener.of((update) => {
        if (update.transactions.some((tr) => tr.isUserEvent("select") || tr.isUserEvent("input.type"))) this.touched++;
        if (update.docChanged)
          for (const place of this.followed) {
            place.from = update.changes.mapPos(place.from, 1);
            place.to = update.changes.mapPos(place.to, -1);
          }
        if (update.docChanged) events.changed(update.changes, update.startState.doc, update.state.doc);
        if (update.selectionSet || update.docChanged) events.cursor(update.state.selection.main.head);
      }),
    ];
    this.view = new EditorView({ parent, state: this.state("") });
  }

  get text(): string {
    return this.view.state.doc.toString();
  }

  /** Another file: its text has no undo steps into the one before. */
  open(text: string): void {
    this.view.setState(this.state(text));
  }

  /** Follow a place while the text around it changes. */
  follow({ from, to }: Phrase): Followed {
    const place = { from, to, end: () => void this.followed.delete(place) };
    this.followed.add(place);
    return place;
  }

  /** Put the cursor somewhere and bring it into view. */
  show(from: number, to = from): void {
    this.view.dispatch({ selection: { anchor: from, head: to }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
  }

  /** Select the words of a prompt, to be written or bound. */
  showPrompt(name: keyof Prompts): void {
    const place = promptPlace(this.text, name);
    if (place) this.show(place.from, place.to);
    this.view.focus();
  }

  private state(doc: string): EditorState {
    return EditorState.create({ doc, extensions: this.extensions });
  }
}

function languageKeys(client: LanguageClient, events: EditorEvents) {
  return [
    { key: "Shift-Alt-f", run: (view: EditorView) => (void format(view, client).catch(() => false), true) },
    { key: "F12", run: (view: EditorView) => (void goToDefinition(view, client).catch(() => null), true) },
    { key: "F2", run: (view: EditorView) => (events.rename(view.state.selection.main.head), true) },
    { key: "F8", run: nextDiagnostic },
  ];
}

/** Alt+1 … Alt+9 bind the selected words to that region. */
function bindKeys(events: EditorEvents) {
  return Array.from({ length: 9 }, (_, i) => ({
    key: `Alt-${i + 1}`,
    run: (view: EditorView) => {
      const words = selectedWords(view.state);
      const region = regionsOf(view.state.doc.toString())[i];
      if (words && region) events.bind(region.name, words);
      return words !== null;
    },
  }));
}

/** Selecting never becomes moving, and a dropped clip is the page's matter, not text. */
const noDragging = EditorView.domEventHandlers({
  dragstart: () => true,
  drop: (event) => (event.dataTransfer?.files.length ?? 0) > 0,
});

/**
 * What is typed over a selection is written here: the browser would keep the look of the words that
 * it replaces in an inline style, which the page's policy forbids.
 */
const typedOver = EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    const { ranges, main } = view.state.selection;
    const { data, inputType } = event;
    if (inputType !== "insertText" || data === null || view.composing || ranges.length > 1 || main.empty) return false;
    const written = () => view.state.update(view.state.replaceSelection(data), { userEvent: "input.type", scrollIntoView: true });
    const handled = view.state.facet(EditorView.inputHandler).some((handle) => handle(view, main.from, main.to, data, written));
    if (!handled) view.dispatch(written());
    event.preventDefault();
    return true;
  },
});

const usual = (): Extension => [
  noDragging,
  typedOver,
  lineNumbers(),
  foldGutter({ openText: "▾", closedText: "▸" }),
  lintGutter(),
  undoHistory(),
  drawSelection(),
  bracketMatching(),
  closeBrackets(),
  highlightActiveLine(),
  highlightActiveLineGutter(),
  highlightSelectionMatches({ minSelectionLength: 2 }),
  search({ top: true }),
  indentUnit.of("    "),
  grainLanguage,
  EditorView.lineWrapping,
  EditorView.contentAttributes.of({ "aria-label": "Spec", spellcheck: "false" }),
  keymap.of([
    ...closeBracketsKeymap, ...completionKeymap, ...searchKeymap, ...historyKeymap,
    ...foldKeymap, ...lintKeymap, ...defaultKeymap, indentWithTab,
  ]),
];
