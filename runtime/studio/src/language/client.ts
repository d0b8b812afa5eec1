/**
 * A client of grain's language server for one document. Changes are sent before each request, so
 * answers are about the text that the caller sees; an answer about an older text is `null`.
 */

import type { ChangeSet, Text } from "@codemirror/state";

import { connect } from "../socket";
import { toPosition, type Position, type Range, type TextEdit } from "../text_edits";
import { Refusal, Rpc } from "./rpc";

export interface Diagnostic {
  range: Range;
  severity?: number;
  code?: string | number;
  message: string;
  data?: unknown;
  relatedInformation?: { location: { range: Range }; message: string }[];
}

export interface CodeAction {
  title: string;
  kind?: string;
  diagnostics?: Diagnostic[];
  edit?: WorkspaceEdit;
}

export interface WorkspaceEdit {
  changes?: Record<string, TextEdit[]>;
  documentChanges?: { textDocument: { uri: string }; edits: TextEdit[] }[];
}

/** A shape of the text at a frame. Points are fractions of the source frame. */
export interface Shape {
  region: string;
  /** Its number among the shapes of its region; the same on all frames. */
  index: number;
  kind: string;
  points: [number, number][];
  range: Range;
  /** Shows an object to a tracker. */
  prompt: boolean;
  /** False for `not point(…)`. */
  inside: boolean;
  keyframes: number[];
}

/** What was done in the picture: `Gesture` of `grainspec/analysis/gesture.py`. */
export interface Gesture {
  kind: string;
  frame: number;
  region: string | null;
  shape?: number;
  points?: readonly (readonly [number, number])[];
  path?: string;
  track?: boolean;
  keyframe?: boolean;
  words?: [number, number];
  name?: string;
  cascade?: boolean;
}

export interface GestureAnswer {
  edits: TextEdit[];
  region: string;
  select: Range | null;
}

/** The server's answer when the text changed before it came to the request. */
const CONTENT_MODIFIED = -32801;

const CAPABILITIES = {
  general: { positionEncodings: ["utf-16"] },
  textDocument: {
    synchronization: {},
    publishDiagnostics: { relatedInformation: true, dataSupport: true, versionSupport: true },
    completion: { completionItem: { snippetSupport: false, documentationFormat: ["markdown"] } },
    hover: { contentFormat: ["markdown"] },
    codeAction: { codeActionLiteralSupport: { codeActionKind: { valueSet: ["quickfix"] } } },
    rename: { prepareSupport: false },
    formatting: {},
    definition: {},
    inlayHint: {},
  },
  workspace: { inlayHint: { refreshSupport: true } },
};

export interface Listeners {
  /** Findings about the text as it is now. */
  diagnostics(list: Diagnostic[]): void;
  connected(yes: boolean): void;
  /** What the server knows beyond the text changed: hints are to be asked for again. */
  refresh(): void;
}

export class LanguageClient {
  private rpc: Rpc | null = null;
  private ready = false;
  private version = 0;
  private document: { uri: string; text: Text } | null = null;
  private unsent: object[] = [];

  constructor(private readonly listeners: Listeners) {}

  /** Speak with the server at a WebSocket's path, as long as the page lives. */
  start(path: string): void {
    connect(path, {
      opened: (send) => void this.greet(send),
      received: (text) => this.receive(text),
      closed: () => this.lost(),
    });
  }

  async greet(send: (text: string) => void): Promise<void> {
    const rpc = new Rpc({ send });
    this.rpc = rpc;
    rpc.onNotification<{ uri: string; version?: number | null; diagnostics: Diagnostic[] }>(
      "textDocument/publishDiagnostics",
      (params) => this.published(params),
    );
    rpc.onRequest("workspace/configuration", ({ items }: { items: unknown[] }) => items.map(() => null));
    for (const method of ["client/registerCapability", "window/workDoneProgress/create"])
      rpc.onRequest(method, () => null);
    rpc.onRequest("workspace/inlayHint/refresh", () => this.listeners.refresh());
    try {
      await rpc.request("initialize", {
        processId: null,
        clientInfo: { name: "grain studio" },
        rootUri: null,
        capabilities: CAPABILITIES,
      });
    } catch {
      return;
    }
    rpc.notify("initialized", {});
    this.ready = true;
    this.announce();
    this.listeners.connected(true);
  }

  /** The document that everything else is about; the one before is closed. */
  open(uri: string, text: Text): void {
    if (this.ready && this.document)
      this.rpc?.notify("textDocument/didClose", { textDocument: { uri: this.document.uri } });
    this.document = { uri, text };
    if (this.ready) this.announce();
  }

  get uri(): string {
    return this.document?.uri ?? "";
  }

  /** A message from the server. */
  receive(text: string): void {
    this.rpc?.receive(text);
  }

  private announce(): void {
    this.unsent = [];
    this.version++;
    if (!this.document) return;
    const { uri, text } = this.document;
    const textDocument = { uri, languageId: "grain", version: this.version, text: text.toString() };
    this.rpc?.notify("textDocument/didOpen", { textDocument });
  }

  /** Note a change of the document. It is sent with the next request or `flush`. */
  changed(changes: ChangeSet, before: Text, after: Text): void {
    const list: object[] = [];
    changes.iterChanges((from, to, _from, _to, inserted) => {
      const range = { start: toPosition(before, from), end: toPosition(before, to) };
      list.unshift({ range, text: inserted.toString() });
    });
    this.unsent.push(...list);
    if (this.document) this.document = { ...this.document, text: after };
  }

  flush(): void {
    if (!this.ready || !this.unsent.length) return;
    this.version++;
    const textDocument = { uri: this.uri, version: this.version };
    this.rpc?.notify("textDocument/didChange", { textDocument, contentChanges: this.unsent });
    this.unsent = [];
  }

  /**
   * Ask about the current text. `null` when there is no connection or the text changed meanwhile;
   * throws `Refusal` when the server refuses.
   */
  async ask<R>(method: string, params: object = {}): Promise<R | null> {
    if (!this.ready || !this.rpc || !this.document) return null;
    this.flush();
    const asked = this.version;
    const textDocument = { uri: this.uri, version: asked };
    const answer = await this.rpc.request<R>(method, { textDocument, ...params }).catch((error: unknown) => {
      if (error instanceof Refusal && error.code === CONTENT_MODIFIED) return null;
      throw error;
    });
    return asked === this.version && !this.unsent.length ? answer : null;
  }

  /** Files that the text names were written: what the server found about it may be stale. */
  filesChanged(): void {
    if (this.ready) this.rpc?.notify("workspace/didChangeWatchedFiles", { changes: [] });
  }

  position(offset: number): Position {
    return this.document ? toPosition(this.document.text, offset) : { line: 0, character: offset };
  }

  shapes(frame: number): Promise<Shape[] | null> {
    return this.ask<Shape[]>("grain/shapes", { frame });
  }

  gesture(gesture: Gesture): Promise<GestureAnswer | null> {
    return this.ask<GestureAnswer>("grain/gesture", { gesture });
  }

  /** The edits of this document in a workspace edit. */
  editsOf(edit: WorkspaceEdit | null | undefined): TextEdit[] {
    const listed = edit?.documentChanges?.flatMap((change) => change.edits ?? []);
    return listed ?? Object.values(edit?.changes ?? {}).flat();
  }

  private published(params: { uri: string; version?: number | null; diagnostics: Diagnostic[] }): void {
    if (params.uri !== this.uri) return;
    const stale = params.version != null && params.version !== this.version;
    if (!stale && !this.unsent.length) this.listeners.diagnostics(params.diagnostics);
  }

  private lost(): void {
    this.ready = false;
    this.rpc?.close();
    this.rpc = null;
    this.listeners.connected(false);
  }
}
