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
import { regionsOf, variantsOf } from "./spec_text";
import { colourOf, studio } from "./state";

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
  private version: Spec["version"] = "";
  private savedText = "";
  private saving: Promise<boolean> = Promise.resolve(true);
  private readonly shapesTurn = new Turn();
  private readonly clipTurn = new Turn();
  private readonly sendChanges = perFrame<void>(() => this.language.flush());
  private readonly askClip = debounced(() => void this.readClip(), 500);
  private readonly askHints = debounced(() => void showHints(this.editor.view, this.language), 700);

  constructor(parent: HTMLElement, nonce: string, private readonly events: SessionEvents) {
    this.language = new LanguageClient({
      diagnostics: (list) => void this.published(list),
      refresh: () => this.askHints(),
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
    this.version = spec.version;
    this.savedText = spec.text;
    this.editor.open(spec.text);
    const uri = new URL(`file://${`${spec.root}/${spec.path}`.split("/").map(encodeURIComponent).join("/")}`).href;
    this.language.open(uri, this.editor.view.state.doc);
    studio.set({ path: spec.path, saved: true, regions: [], shapes: [], picked: null, frame: 0, variant: null, doubtful: {} });
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
    const text = this.text;
    if (text === this.savedText) return true;
    try {
      this.version = (await api.save(text, this.version)).version;
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) this.conflict();
      else notice(described(error), "error");
      return false;
    }
    this.savedText = text;
    studio.set({ saved: this.text === text });
    return true;
  }

  /** The file changed outside of the page. */
  async changedOutside(version: Spec["version"]): Promise<void> {
    await this.saving; // what the server tells may be about the page's own change
    if (version === this.version) return;
    if (studio.now.saved) await this.reload();
    else this.conflict();
  }

  async readShapes(): Promise<void> {
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
    studio.set({ saved: this.text === this.savedText, ...(gone && before.some((r) => r.name === region) ? { region: null } : {}) });
    if (this.dragging) return;
    this.regions.changed();
    this.askClip();
    this.askHints();
    void this.readShapes();
  }

  private readText() {
    const before = studio.now.written;
    const written = regionsOf(this.text);
    const variants = variantsOf(this.text);
    const { variant } = studio.now;
    studio.set({ written, variants, variant: variant === "all" || (variant && variants.includes(variant)) ? variant : null });
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
    this.events.findings();
    await showDiagnostics(this.editor.view, this.language, list);
    this.events.findings();
  }

  private conflict(): void {
    notice("Another program changed the file.", "error", [
      { label: "Load the file", run: () => void this.reload() },
      { label: "Keep this text", run: () => void this.overwrite() },
    ]);
  }

  private async reload(): Promise<void> {
    const spec = await api.spec();
    this.version = spec.version;
    this.savedText = spec.text;
    const { doc } = this.editor.view.state;
    if (doc.toString() !== spec.text)
      this.editor.view.dispatch({ changes: { from: 0, to: doc.length, insert: spec.text }, effects: setDiagnosticsEffect.of([]) });
    studio.set({ saved: true });
  }

  private async overwrite(): Promise<void> {
    this.version = (await api.spec()).version;
    await this.save();
  }
}
