/** Gestures in the picture become edits of the text, through the language server. */

import { undo } from "@codemirror/commands";

import { api, described } from "./api";
import { lastGesture, ofGesture } from "./editor/history";
import { rename } from "./editor/language_tools";
import type { Point } from "./geometry";
import { askFor } from "./help";
import { Refusal } from "./language/rpc";
import type { Gesture, Shape } from "./language/client";
import { dropNotices, notice, OF_TEXT } from "./notices";
import { Latest } from "./pace";
import type { Session } from "./session";
import { codePoints, type Phrase } from "./spec_text";
import type { StageActions } from "./stage/stage";
import { studio } from "./state";
import { toChanges, toOffset, type Range } from "./text_edits";
import { isUsed, usedWords } from "./used_frames";

/** How often a gesture is asked for again because the text changed. */
const TRIES = 8;
const CHANGED = "The text changed while this was written. Do it again.";

/** Gestures that put something on a frame. */
const DRAWN = ["point", "not_point", "box", "polygon", "mask"];

interface Move {
  readonly gesture: Gesture;
  readonly id: number;
}

const rounded = (points: readonly Point[]): Point[] => points.map(([x, y]) => [Number(x.toFixed(5)), Number(y.toFixed(5))]);

export class Gestures implements StageActions {
  private numbers = 1_000_000;
  /** The drag that was under way last. */
  private drag = 0;
  /** Drags that were broken off, while something of them is under way. */
  private readonly broken = new Set<number>();
  private writing: Promise<unknown> | null = null;
  /** The text of the shape that is dragged, as it was written last. */
  private moved: Range | null = null;
  private readonly moves = new Latest<Move>(
    async ({ gesture, id }) => void (this.broken.has(id) || (await this.write(() => gesture, id))),
    (move, waiting) => move.id === waiting.id, // where another shape was let go is still to be written
  );
  /** Called when a gesture was refused: the picture forgets what it drew ahead. */
  refused: () => void = () => undefined;
  /** Whether something is being drawn or dragged: what is chosen stays. */
  busy: () => boolean = () => false;

  constructor(private readonly session: Session) {}

  draw(kind: string, points: readonly Point[], region: string | null): void {
    const { frame, follow, autoKey } = studio.now;
    studio.set({ picked: null }); // what is deleted next is not a shape from before
    const shape = kind === "box" || kind === "polygon";
    const more = !shape ? {} : region !== null ? { keyframe: autoKey } : follow ? { track: true } : {};
    void this.write(() => ({ kind, frame, region, points: rounded(points), ...more }), ++this.numbers);
  }

  move(shape: Shape, points: readonly Point[], id: number, last: boolean): void {
    const { frame, autoKey } = studio.now;
    this.session.dragging = true;
    const keyframe = autoKey && !shape.prompt && !shape.keyframes.length;
    const gesture: Gesture = { kind: "move", frame, region: shape.region, shape: shape.index, points: rounded(points), ...(keyframe ? { keyframe } : {}) };
    const done = this.moves.ask({ gesture, id });
    this.drag = id;
    if (last) void done.then(() => this.isUnderWay(id) && this.endDrag(shape.region, frame));
  }

  private isUnderWay(id: number): boolean {
    return id === this.drag && this.session.dragging && !this.broken.has(id);
  }

  breakOff(id: number): void {
    this.broken.add(id);
    const undone = this.after(() => {
      const { view } = this.session.editor;
      if (lastGesture(view.state) === id) undo(view);
    });
    void this.moves.idle().then(() => undone).then(() => {
      this.broken.delete(id);
      if (!this.isUnderWay(id)) return;
      this.moved = null;
      this.session.dragEnded();
    });
  }

  /** Until the text is read anew, shapes of the region have other numbers than those that are shown. */
  remove(shape: Shape): void {
    if (this.busy()) return;
    const { frame, shapes } = studio.now;
    studio.set({ picked: null, shapes: shapes.filter(({ region }) => region !== shape.region) });
    const written = this.write(() => ({ kind: "delete", frame, region: shape.region, shape: shape.index }), ++this.numbers);
    void written.then((region) => void (region === null && this.session.readShapes()));
  }

  async paint(png: string, frame: number, region: string): Promise<string | null> {
    try {
      const spec = studio.now.path;
      const { path } = await api.paint(spec, this.session.text, region, frame, png);
      if (spec !== studio.now.path) return null;
      this.session.language.filesChanged();
      const written = await this.write(() => ({ kind: "mask", frame, region, path }), ++this.numbers);
      this.session.regions.changed();
      return written === null ? null : path;
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
    const { frame } = studio.now;
    const place = this.session.editor.follow(words); // gestures before it may be unwritten yet
    const gesture = (): Gesture => {
      const { text } = this.session;
      return { kind: "bind", frame, region, words: [codePoints(text, place.from), codePoints(text, place.to)] };
    };
    void this.write(gesture, ++this.numbers).finally(() => place.end());
  }

  /** Settles when the text and its shapes are those after all gestures; null if they are. */
  settled(): Promise<unknown> | null {
    return this.writing ? this.writing.then(() => this.session.shapesRead) : this.session.shapesRead;
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

  /** Write what a gesture stands for, after those before it; its region's name, or null if refused. */
  private write(gesture: () => Gesture, id: number): Promise<string | null> {
    const { path } = studio.now;
    const { touched } = this.session.editor;
    return this.after(() => (studio.now.path === path ? this.writeNow(gesture, id, touched) : null));
  }

  /** Do something after all gestures so far. */
  private after<T>(work: () => T | Promise<T>): Promise<T> {
    const done = (this.writing ?? Promise.resolve()).then(work);
    this.writing = done;
    void done.then(() => {
      if (this.writing === done) this.writing = null;
    });
    return done;
  }

  private async writeNow(made: () => Gesture, id: number, touched: number): Promise<string | null> {
    const { editor, language } = this.session;
    const { path } = studio.now;
    try {
      const asked = async () => {
        const gesture = made();
        return { gesture, answer: await language.gesture(gesture) };
      };
      let { gesture, answer } = await asked();
      for (let again = 0; !answer && again < TRIES && studio.now.connected && studio.now.path === path; again++)
        ({ gesture, answer } = await asked()); // someone typed meanwhile
      if (this.broken.has(id)) return null;
      if (!answer) {
        if (studio.now.path === path) notice(studio.now.connected ? CHANGED : "No connection to the language server.", "error", [], OF_TEXT);
        this.refused();
        return null;
      }
      const changes = toChanges(editor.view.state.doc, answer.edits);
      if (changes.length) editor.view.dispatch({ changes, annotations: ofGesture.of(id) });
      dropNotices(OF_TEXT);
      if (gesture.kind === "move") this.moved = answer.select;
      else if (gesture.kind !== "delete") this.shown(answer.region, answer.select, touched === editor.touched);
      if (changes.length && DRAWN.includes(gesture.kind)) this.tellUnused(answer.region, gesture.frame);
      return answer.region;
    } catch (error) {
      if (this.broken.has(id)) return null;
      notice(refusal(error), "error", [], OF_TEXT);
      this.refused();
      return null;
    }
  }

  /** Choose what was written, unless the user goes on with something else. */
  private shown(region: string, select: Range | null, untouched = true): void {
    if (this.busy()) return;
    studio.set({ region });
    if (!select || !untouched) return;
    const { doc } = this.session.editor.view.state;
    this.session.editor.show(toOffset(doc, select.start), toOffset(doc, select.end));
  }

  private endDrag(region: string, frame: number): void {
    this.session.dragging = false;
    if (this.moved) this.shown(region, this.moved);
    this.moved = null;
    this.tellUnused(region, frame);
    this.session.dragEnded();
  }

  /** A keyframe or prompt on a frame that the spec leaves out has no frame of its own in the edit. */
  private tellUnused(region: string, frame: number): void {
    const { clip, written } = studio.now;
    if (!clip || isUsed(clip.used, frame) || !written.some(({ name, keyframes }) => name === region && keyframes.includes(frame))) return;
    notice(`The spec leaves out frame ${frame}: it uses ${usedWords(clip.used)}.`);
  }

  freshName(): string {
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
