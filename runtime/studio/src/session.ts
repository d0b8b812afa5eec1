/** The open spec: its text in the editor and in the file, and what the server says about it. */

import { setDiagnosticsEffect } from "@codemirror/lint";

import { api, ApiError, described, type Spec } from "./api";
import { SpecEditor, type EditorEvents } from "./editor/editor";
import { showDiagnostics, showHints } from "./editor/language_tools";
import { setColours } from "./editor/words";
import { LanguageClient, type Diagnostic } from "./language/client";
import { notice } from "./notices";
import { debounced, perFrame, Turn } from "./pace";
import { RegionReader } from "./regions";
import { SpecFile, type Known } from "./spec_file";
import { promptsOf, regionsOf, variantsOf } from "./spec_text";
import { colourOf, studio } from "./state";

/** The code of the answer when the file of the open spec is not there. */
const GONE = "G727";

export interface SessionEvents {
  bind: EditorEvents["bind"];
  rename(at: number): void;
  /** The editor's marks or the regions' findings changed. */
  findings(): void;
  /** The part of the frame that is edited. */
  box(box: readonly number[]): void;
}

export class Session {
  readonly editor: SpecEditor;
  readonly language: LanguageClient;
  readonly regions: RegionReader;
  diagnostics: readonly Diagnostic[] = [];
  /** While a shape is dragged, its old mask and shapes are not asked for. */
  dragging = false;
  private readonly file = new SpecFile();
  /** While this page opens another spec, what the server tells is about that. */
  private leaving = false;
  private saving: Promise<boolean> = Promise.resolve(true);
  private readonly shapesTurn = new Turn();
  private readonly clipTurn = new Turn();
  private readonly sendChanges = perFrame<void>(() => this.language.flush());
  private readonly askClip = debounced(() => void this.readClip(), 500);
  private readonly askHints = debounced(() => this.readHints(), 700);
  private readonly readHints = () => void showHints(this.editor.view, this.language);
  /** Settles when the shapes are those of the text; null if they are. */
  shapesRead: Promise<void> | null = null;

  constructor(parent: HTMLElement, nonce: string, private readonly events: SessionEvents) {
    this.language = new LanguageClient({
      diagnostics: (list) => void this.published(list),
      refresh: () => this.readHints(),
      connected: (connected) => {
        studio.set({ connected });
        if (connected) void this.readShapes();
      },
    });
    this.editor = new SpecEditor(parent, nonce, this.language, {
      changed: (changes, before, after) => {
        this.language.changed(changes, before, after);
        this.textChanged();
      },
      cursor: (offset) => this.cursorAt(offset),
      bind: events.bind,
      rename: events.rename,
    });
    this.regions = new RegionReader({
      text: () => this.text,
      busy: () => this.dragging,
      findings: events.findings,
      box: events.box,
    });
    studio.watch(["frame"], () => studio.now.path && void this.readShapes());
    studio.watch(["regions", "written"], ({ written }) => {
      const colours = Object.fromEntries(written.map(({ name }) => [name, colourOf(name)]));
      this.editor.view.dispatch({ effects: setColours.of(colours) });
    });
  }

  get text(): string {
    return this.editor.text;
  }

  open(spec: Spec): void {
    this.file.take(spec);
    this.editor.open(spec.text);
    const uri = new URL(`file://${`${spec.root}/${spec.path}`.split("/").map(encodeURIComponent).join("/")}`).href;
    this.language.open(uri, this.editor.view.state.doc);
    studio.set({
      path: spec.path, saved: true, clip: null, clipError: null, mask: null, regions: [], shapes: [], picked: null,
      frame: 0, variant: null, doubtful: {}, runs: [], run: null, view: "clip",
    });
    const { written } = this.readText();
    studio.set({ region: written[0]?.name ?? null });
    void this.readClip();
    this.regions.changed();
    void this.regions.read();
    void this.readShapes();
    this.askHints();
  }

  /** Write the file. The user decides if another program changed it meanwhile. */
  save(): Promise<boolean> {
    this.saving = this.saving.then(() => this.write());
    return this.saving;
  }

  private async write(): Promise<boolean> {
    const { text, file } = this;
    const { path } = file;
    if (file.has(text)) return true;
    try {
      const { version, gone } = await api.save(path, text, file.version);
      if (file.path === path) Object.assign(file, { version, text, gone: false });
      if (gone) notice(`Another program had deleted or renamed ${path}: it is written anew.`);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409)) notice(described(error), "error");
      else await this.look();
      return false;
    }
    studio.set({ saved: file.has(this.text) });
    return true;
  }

  /** Open another spec, once the text is saved; it stays if it cannot be. */
  async leave(opening: () => Promise<Spec>): Promise<void> {
    if (!(await this.save())) return;
    this.leaving = true;
    try {
      this.found(await opening());
    } finally {
      this.leaving = false;
    }
  }

  /** The file changed outside of the page, or another page opened another spec. */
  async changedOutside(known: Known): Promise<void> {
    await this.saving; // what the server tells may be about the page's own change
    if (this.leaving) return;
    const news = this.file.news(known, this.text);
    if (news === "none") return;
    if (news === "gone" || news === "back") return this.wentAway(news === "gone");
    await this.look();
    if (news === "follow" && this.file.path === known.path) notice(`${known.path} was opened in another tab.`);
  }

  /** See whether the studio still has this page's spec as the page knows it. */
  async look(): Promise<void> {
    await this.decided((spec) => this.found(spec));
  }

  /** The file was deleted or renamed, or is there again as it was. */
  private wentAway(gone: boolean): void {
    this.file.gone = gone;
    studio.set({ saved: this.file.has(this.text) });
    if (gone) notice(`Another program deleted or renamed ${this.file.path}. Saving writes it anew.`);
  }

  /** What the studio has open: taken over, unless the page has text that is not saved. */
  private found(spec: Spec): void {
    const news = this.file.news(spec, this.text);
    if (news === "follow") this.open(spec);
    else if (news === "reload") this.load(spec);
    else if (news === "back") this.wentAway(false);
    else if (news === "conflict") this.conflict();
    else if (news === "elsewhere") this.elsewhere(spec);
  }

  /** What the files say may be new: shown now, not after a pause in typing. */
  filesChanged(): void {
    this.language.filesChanged();
    this.regions.renew();
  }

  readShapes(): Promise<void> {
    const reading = this.askShapes();
    this.shapesRead = reading;
    return reading.finally(() => {
      if (this.shapesRead === reading) this.shapesRead = null;
    });
  }

  private async askShapes(): Promise<void> {
    if (this.dragging) return;
    const current = this.shapesTurn.begin();
    const shapes = await this.language.shapes(studio.now.frame).catch(() => null);
    if (!shapes || !current() || this.dragging) return;
    const { picked, shapes: before } = studio.now;
    const old = picked === null ? undefined : before[picked];
    const kept = old ? shapes.findIndex((shape) => shape.region === old.region && shape.index === old.index) : -1;
    studio.set({ shapes, picked: kept < 0 ? null : kept });
  }

  private async readClip(): Promise<void> {
    const current = this.clipTurn.begin();
    try {
      const clip = await api.clip(this.text);
      if (!current()) return;
      const { clip: before, frame } = studio.now;
      if (JSON.stringify(before) === JSON.stringify(clip)) return;
      studio.set({ clip, clipError: null, frame: Math.min(frame || clip.used[0], clip.frames - 1) });
    } catch (error) {
      if (current() && !studio.now.clip) studio.set({ clipError: described(error) });
    }
  }

  private textChanged(): void {
    this.sendChanges();
    const { written, before } = this.readText();
    const { region } = studio.now;
    const gone = region !== null && !written.some(({ name }) => name === region);
    studio.set({ saved: this.file.has(this.text), ...(gone && before.some((r) => r.name === region) ? { region: null } : {}) });
    if (this.dragging) return;
    this.regions.changed();
    this.askClip();
    this.askHints();
    void this.readShapes();
  }

  private readText() {
    const before = studio.now.written;
    const written = regionsOf(this.text);
    const prompts = promptsOf(this.text);
    const variants = variantsOf(this.text);
    const { variant } = studio.now;
    studio.set({ written, prompts, variants, variant: variant === "all" || (variant && variants.includes(variant)) ? variant : null });
    return { written, before };
  }

  /** The region whose statement the cursor is in is the one that gestures write to. */
  private cursorAt(offset: number): void {
    if (!this.editor.view.hasFocus) return;
    const doc = this.editor.view.state.doc;
    const line = doc.lineAt(offset);
    const region = studio.now.written.find(({ from }) => from >= line.from && from <= line.to);
    if (region) studio.set({ region: region.name });
  }

  private async published(list: Diagnostic[]): Promise<void> {
    this.diagnostics = list;
    studio.set({ errors: list.filter(({ severity }) => (severity ?? 1) === 1).map(({ code }) => String(code ?? "")) });
    this.events.findings();
    await showDiagnostics(this.editor.view, this.language, list);
    this.events.findings();
  }

  private conflict(): void {
    notice("Another program changed the file.", "error", [
      { label: "Load the file", run: () => void this.decided((spec) => this.load(spec)) },
      { label: "Keep this text", run: () => void this.decided((spec) => this.overwrite(spec), undefined, () => this.save()) },
    ]);
  }

  private elsewhere(spec: Spec): void {
    const { path } = this.file;
    notice(`The studio has ${spec.path} open now; your changes of ${path} are not saved.`, "error", [
      { label: `Go on with ${path}`, run: () => void this.goBack() },
      { label: "Drop the changes", run: () => void this.decided((now) => this.found(now), (now) => this.open(now)) },
    ]);
  }

  /** Do what was decided, with what the studio has open by now: this page's spec, another, or one that is gone. */
  private async decided(
    own: (spec: Spec) => unknown,
    other: (spec: Spec) => unknown = (spec) => this.found(spec),
    gone: () => unknown = () => this.wentAway(true),
  ): Promise<void> {
    try {
      const spec = await api.spec();
      if (spec.path === this.file.path) own(spec);
      else other(spec);
    } catch (error) {
      if (error instanceof ApiError && error.code === GONE) gone();
      else notice(described(error), "error");
    }
  }

  /** Have this page's spec open again, for all pages. */
  private async goBack(): Promise<void> {
    try {
      this.found(await api.open(this.file.path));
    } catch (error) {
      notice(described(error), "error");
    }
  }

  private load(spec: Spec): void {
    this.file.take(spec);
    const { doc } = this.editor.view.state;
    if (doc.toString() !== spec.text)
      this.editor.view.dispatch({ changes: { from: 0, to: doc.length, insert: spec.text }, effects: setDiagnosticsEffect.of([]) });
    studio.set({ saved: true });
  }

  private overwrite({ version }: Spec): Promise<boolean> {
    this.file.version = version;
    return this.save();
  }
}
