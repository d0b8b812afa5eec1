/**
 * A `vscode` module for Node: what the extension and its language client ask of the editor is
 * recorded, or answered by nothing. Real where behaviour matters: commands, findings, addresses.
 */

import Module from "node:module";
import { posix } from "node:path";
import { pathToFileURL, fileURLToPath } from "node:url";

const nothing = { dispose: () => undefined };
const kind = { append: (): unknown => kind };

class Uri {
  private constructor(private readonly url: URL) {}
  static file = (path: string): Uri => new Uri(pathToFileURL(path));
  static parse = (text: string): Uri => new Uri(new URL(text));
  static joinPath = (uri: Uri, ...parts: string[]): Uri => Uri.file(posix.join(uri.path, ...parts));
  get scheme(): string { return this.url.protocol.slice(0, -1); }
  get path(): string { return decodeURIComponent(this.url.pathname); }
  get fsPath(): string { return fileURLToPath(this.url); }
  get authority(): string { return this.url.host; }
  get query(): string { return ""; }
  get fragment(): string { return ""; }
  toString(): string { return this.url.href; }
}

class Position {
  constructor(readonly line: number, readonly character: number) {}
}

class Range {
  readonly start: Position;
  readonly end: Position;
  constructor(line: number, character: number, endLine: number, endCharacter: number) {
    this.start = new Position(line, character);
    this.end = new Position(endLine, endCharacter);
  }
}

class Diagnostic {
  severity = 0;
  code: unknown;
  source: unknown;
  constructor(readonly range: Range, readonly message: string) {}
}

class EventEmitter<T> {
  private readonly listeners = new Set<(event: T) => unknown>();
  readonly event = (listener: (event: T) => unknown, self?: unknown) => {
    const bound = self ? listener.bind(self) : listener;
    this.listeners.add(bound);
    return { dispose: () => this.listeners.delete(bound) };
  };
  fire(event: T): void { for (const listener of this.listeners) listener(event); }
  dispose(): void { this.listeners.clear(); }
}

class Disposable {
  constructor(private readonly end: () => unknown) {}
  dispose(): void { this.end(); }
}

class RelativePattern {
  constructor(readonly baseUri: Uri, readonly pattern: string) {}
}

/** A watcher of files, which sees what a test says. */
class Watcher {
  private readonly created = new EventEmitter<Uri>();
  private readonly changed = new EventEmitter<Uri>();
  private readonly deleted = new EventEmitter<Uri>();
  readonly onDidCreate = this.created.event;
  readonly onDidChange = this.changed.event;
  readonly onDidDelete = this.deleted.event;
  constructor(readonly watched: RelativePattern, private readonly ended: (self: Watcher) => void) {}
  create(path: string): void { this.created.fire(Uri.file(path)); }
  dispose(): void { this.ended(this); }
}

class CancellationTokenSource {
  readonly token = { isCancellationRequested: false, onCancellationRequested: () => nothing };
  cancel(): void { this.token.isCancellationRequested = true; }
  dispose(): void {}
}

class ProcessExecution {
  constructor(readonly process: string, readonly args: string[], readonly options: { cwd: string }) {}
}

class Task {
  presentationOptions = {};
  constructor(
    readonly definition: unknown,
    readonly scope: unknown,
    readonly name: string,
    readonly source: string,
    readonly execution: ProcessExecution,
  ) {}
}

/** A text document, as the editor gives it. */
export class FakeDocument {
  readonly languageId = "grain";
  readonly version = 1;
  readonly uri: Uri;
  isDirty = false;
  saved = 0;
  constructor(path: string, readonly text: string) { this.uri = Uri.file(path); }
  getText(): string { return this.text; }
  save(): Promise<boolean> {
    this.saved++;
    this.isDirty = false;
    return Promise.resolve(true);
  }
}

export interface FakePanel {
  html: string;
  options: { enableScripts: boolean; localResourceRoots: Uri[] };
  close(): void;
}

export interface FakeEditor {
  readonly module: object;
  readonly commands: Map<string, (...args: unknown[]) => unknown>;
  readonly tasks: Task[];
  readonly errors: string[];
  readonly findings: Map<string, Diagnostic[]>;
  readonly panels: FakePanel[];
  readonly saved: ((document: FakeDocument) => void)[];
  readonly watchers: Set<Watcher>;
  trusted: boolean;
}

/** An editor with these open documents, whose configuration has these values. */
export function fakeEditor(
  documents: FakeDocument[],
  settings: Record<string, unknown>,
  interpreter?: string,
): FakeEditor {
  const editor = {
    commands: new Map<string, (...args: unknown[]) => unknown>(),
    tasks: [] as Task[],
    errors: [] as string[],
    findings: new Map<string, Diagnostic[]>(),
    panels: [] as FakePanel[],
    saved: [] as ((document: FakeDocument) => void)[],
    watchers: new Set<Watcher>(),
    trusted: true,
  };
  const python = {
    environments: {
      getActiveEnvironmentPath: () => ({ path: "chosen" }),
      resolveEnvironment: async () => ({ executable: { uri: Uri.file(interpreter!) } }),
      onDidChangeActiveEnvironmentPath: () => nothing,
    },
  };
  const configuration = { get: (name: string, other: unknown) => settings[name] ?? other };
  const match = (_: unknown, document: { languageId?: string }) => (document.languageId === "grain" ? 10 : 0);
  const module = filled({
    Uri, Position, Range, Diagnostic, ProcessExecution, Task,
    EventEmitter, Disposable, CancellationTokenSource, RelativePattern,
    version: "1.91.0",
    ViewColumn: { Beside: -2 },
    TaskScope: { Workspace: 2 },
    TaskPanelKind: { Dedicated: 2 },
    ProgressLocation: { Window: 10 },
    DiagnosticSeverity: { Error: 0, Warning: 1, Information: 2, Hint: 3 },
    CompletionItemKind: {}, SymbolKind: {}, SymbolTag: {}, CodeActionKind: { Empty: kind },
    extensions: {
      getExtension: () => interpreter && { activate: async () => python },
      onDidChange: () => nothing,
    },
    env: filled({ appName: "fake", language: "en" }),
    commands: filled({
      registerCommand: (name: string, work: () => unknown) => {
        if (editor.commands.has(name)) throw new Error(`command '${name}' already exists`);
        editor.commands.set(name, work);
        return { dispose: () => editor.commands.delete(name) };
      },
    }),
    languages: filled({
      match,
      createLanguageStatusItem: () => ({ ...nothing }),
      createDiagnosticCollection: () => ({
        set: (uri: Uri, found?: Diagnostic[]) => editor.findings.set(uri.toString(), found ?? []),
        delete: (uri: Uri) => editor.findings.delete(uri.toString()),
        clear: () => editor.findings.clear(),
        dispose: () => undefined,
      }),
    }),
    tasks: { executeTask: async (task: Task) => void editor.tasks.push(task) },
    window: filled({
      activeTextEditor: documents[0] && { document: documents[0] },
      visibleTextEditors: [],
      showErrorMessage: async (message: string) => void editor.errors.push(message),
      createOutputChannel: () => filled({ logLevel: 0 }),
      tabGroups: filled({ all: [] }),
      createWebviewPanel: (_: string, title: string, __: unknown, options: FakePanel["options"]) => {
        const closed: (() => void)[] = [];
        const panel = {
          html: "",
          options,
          close: () => closed.splice(0).forEach((work) => work()),
        };
        editor.panels.push(panel);
        const webview = {
          get html() { return panel.html; },
          set html(text: string) { panel.html = text; },
          cspSource: "https://fake",
          asWebviewUri: (uri: Uri) => uri,
        };
        return {
          title,
          webview,
          reveal: () => undefined,
          onDidDispose: (work: () => void) => closed.push(work),
          dispose: panel.close,
        };
      },
    }),
    workspace: filled({
      textDocuments: documents,
      notebookDocuments: [],
      workspaceFolders: [],
      get isTrusted() { return editor.trusted; },
      getConfiguration: () => configuration,
      getWorkspaceFolder: () => undefined,
      createFileSystemWatcher: (watched: RelativePattern) => {
        const watcher = new Watcher(watched, (ended) => editor.watchers.delete(ended));
        editor.watchers.add(watcher);
        return watcher;
      },
      onDidSaveTextDocument: (work: (document: FakeDocument) => void) => {
        editor.saved.push(work);
        return { dispose: () => editor.saved.splice(editor.saved.indexOf(work), 1) };
      },
    }),
  });
  return Object.assign(editor, { module });
}

/** An object in which every other name is an empty class, or a function that returns nothing. */
function filled<T extends object>(known: T): T {
  return new Proxy(known, {
    get(target, name, receiver) {
      if (!(name in target) && typeof name === "string" && name !== "then") {
        Reflect.set(target, name, /^[A-Z]/.test(name) ? class {} : () => nothing);
      }
      return Reflect.get(target, name, receiver);
    },
  });
}

/** The built extension, with an editor in place of `vscode`. */
export function loaded(path: string, editor: FakeEditor): {
  activate(context: { subscriptions: { dispose(): unknown }[] }): Promise<void>;
  deactivate(): Promise<void>;
} {
  const modules = Module as unknown as { _load: (name: string, ...more: unknown[]) => unknown };
  const original = modules._load;
  modules._load = (name, ...more) => (name === "vscode" ? editor.module : original(name, ...more));
  try {
    const require = Module.createRequire(import.meta.url);
    delete require.cache[path];
    return require(path);
  } finally {
    modules._load = original;
  }
}
