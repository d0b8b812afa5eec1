/** Gestures in the picture become edits of the text, through the language server. */

import { api, described } from "./api";
import { ofGesture } from "./editor/history";
import { rename } from "./editor/language_tools";
import type { Point } from "./geometry";
import { askFor } from "./help";
import { Refusal } from "./language/rpc";
import type { Gesture, Shape } from "./language/client";
import { notice } from "./notices";
import { Latest } from "./pace";
import type { Session } from "./session";
import { codePoints, type Phrase } from "./spec_text";
import type { StageActions } from "./stage/stage";
import { studio } from "./state";
import { toChanges, toOffset } from "./text_edits";

interface Move {
  readonly gesture: Gesture;
  readonly id: number;
}

const rounded = (points: readonly Point[]): Point[] => points.map(([x, y]) => [Number(x.toFixed(5)), Number(y.toFixed(5))]);

export class Gestures implements StageActions {
  private numbers = 1_000_000;
  private readonly moves = new Latest<Move>(async ({ gesture, id }) => {
    await this.write(gesture, id);
  });
  /** Called when a gesture was refused: the picture forgets what it drew ahead. */
  refused: () => void = () => undefined;

  constructor(private readonly session: Session) {}

  draw(kind: string, points: readonly Point[], region: string | null): void {
    const { frame, follow } = studio.now;
    studio.set({ picked: null }); // what is deleted next is not a shape from before
    const track = follow && region === null && (kind === "box" || kind === "polygon");
    void this.write({ kind, frame, region, points: rounded(points), ...(track ? { track } : {}) }, ++this.numbers);
  }

  move(shape: Shape, points: readonly Point[], id: number, last: boolean): void {
    const { frame, autoKey } = studio.now;
    this.session.dragging = true;
    const keyframe = autoKey && !shape.prompt && !shape.keyframes.length && frame !== 0;
    const gesture: Gesture = { kind: "move", frame, region: shape.region, shape: shape.index, points: rounded(points), ...(keyframe ? { keyframe } : {}) };
    const done = this.moves.ask({ gesture, id });
    if (last) void done.then(() => this.endDrag());
  }

  remove(shape: Shape): void {
    const { frame } = studio.now;
    void this.write({ kind: "delete", frame, region: shape.region, shape: shape.index }, ++this.numbers);
  }

  async paint(png: string, frame: number, region: string | null): Promise<string | null> {
    const name = region ?? this.freshName();
    try {
      const spec = studio.now.path;
      const { path } = await api.paint(spec, name, frame, png);
      if (spec !== studio.now.path) return null;
      this.session.language.filesChanged();
      const written = await this.write({ kind: "mask", frame, region: name, path }, ++this.numbers);
      this.session.regions.changed();
      return written;
    } catch (error) {
      notice(described(error), "error");
      this.refused();
      return null;
    }
  }

  reveal(shape: Shape): void {
    const { view } = this.session.editor;
    const from = toOffset(view.state.doc, shape.range.start);
    const to = toOffset(view.state.doc, shape.range.end);
    this.session.editor.show(from, to);
  }

  bind(region: string, words: Phrase): void {
    const { text } = this.session;
    const span: [number, number] = [codePoints(text, words.from), codePoints(text, words.to)];
    void this.write({ kind: "bind", frame: studio.now.frame, region, words: span }, ++this.numbers);
  }

  async rename(at: number): Promise<void> {
    const { editor, language } = this.session;
    const word = editor.view.state.wordAt(at);
    if (!word) return;
    const old = editor.view.state.sliceDoc(word.from, word.to);
    const name = await askFor("Rename", `New name of ${old}`, old);
    editor.view.focus();
    if (!name || name === old) return;
    try {
      await rename(editor.view, language, word.from, name);
      if (studio.now.written.some((region) => region.name === name)) studio.set({ region: name });
    } catch (error) {
      notice(described(error), "error");
    }
  }

  /** Write what a gesture stands for; the name of its region, or null if it was refused. */
  private async write(gesture: Gesture, id: number): Promise<string | null> {
    const { editor, language } = this.session;
    const { path } = studio.now;
    try {
      const first = await language.gesture(gesture);
      const answer = first ?? (studio.now.path === path ? await language.gesture(gesture) : null);
      if (!answer) {
        if (!studio.now.connected) notice("No connection to the language server.", "error");
        this.refused();
        return null;
      }
      const changes = toChanges(editor.view.state.doc, answer.edits);
      if (changes.length) editor.view.dispatch({ changes, annotations: ofGesture.of(id) });
      if (gesture.kind !== "move" && gesture.kind !== "delete") this.shown(answer.region, answer.select);
      return answer.region;
    } catch (error) {
      this.session.dragging = false;
      notice(refusal(error), "error");
      this.refused();
      return null;
    }
  }

  private shown(region: string, select: { start: { line: number; character: number }; end: { line: number; character: number } } | null): void {
    studio.set({ region });
    if (!select) return;
    const { doc } = this.session.editor.view.state;
    this.session.editor.show(toOffset(doc, select.start), toOffset(doc, select.end));
  }

  private endDrag(): void {
    this.session.dragging = false;
    void this.session.readShapes();
    this.session.regions.changed();
  }

  private freshName(): string {
    const taken = new Set(studio.now.written.map(({ name }) => name));
    for (let n = 1; ; n++) if (!taken.has(n === 1 ? "painted" : `painted_${n}`)) return n === 1 ? "painted" : `painted_${n}`;
  }
}

/** A refusal's message and cure in one line. */
function refusal(error: unknown): string {
  if (error instanceof Refusal) {
    const data = error.data as { cure?: string } | null;
    return [error.message, data?.cure].filter(Boolean).join(". ");
  }
  return described(error);
}
