/** Regions beside the text: what `grain show` draws, anew whenever the spec is saved. */

import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import * as vscode from "vscode";

import { specArguments } from "./arguments";
import type { Command } from "./command";
import { pageHtml, type Page } from "./page";
import { ended } from "./programs";

export class Preview implements vscode.Disposable {
  private readonly parts: vscode.Disposable[] = [];
  private drawing: AbortController | undefined;
  private pictures = 0;

  private constructor(
    private readonly panel: vscode.WebviewPanel,
    private readonly folder: string,
    private readonly command: () => Promise<Command | undefined>,
    private spec: vscode.Uri,
    private variant: string | undefined,
  ) {
    const saved = vscode.workspace.onDidSaveTextDocument((document) => {
      if (document.uri.toString() === this.spec.toString()) void this.draw();
    });
    this.parts.push(panel, saved);
  }

  /** Open a panel beside the text; `command` finds `grain`, and `closed` is called at the end. */
  static async open(
    command: () => Promise<Command | undefined>,
    spec: vscode.Uri,
    variant: string | undefined,
    closed: () => void,
  ): Promise<Preview> {
    const folder = await mkdtemp(join(tmpdir(), "grain-preview-"));
    const panel = vscode.window.createWebviewPanel(
      "grain.regions",
      "Regions",
      { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
      { enableScripts: false, enableForms: false, localResourceRoots: [vscode.Uri.file(folder)] },
    );
    const preview = new Preview(panel, folder, command, spec, variant);
    panel.onDidDispose(() => {
      closed();
      preview.dispose();
    });
    void preview.draw();
    return preview;
  }

  /** Show another spec, or another variant of it. */
  show(spec: vscode.Uri, variant: string | undefined): void {
    this.spec = spec;
    this.variant = variant;
    this.panel.reveal(undefined, true);
    void this.draw();
  }

  dispose(): void {
    this.drawing?.abort();
    for (const part of this.parts.splice(0)) part.dispose();
    void rm(this.folder, { recursive: true, force: true });
  }

  private async draw(): Promise<void> {
    this.drawing?.abort(); // of an older text
    const drawing = (this.drawing = new AbortController());
    const { spec, variant } = this;
    const title = [basename(spec.fsPath), variant].filter(Boolean).join(", variant ");
    this.panel.title = `Regions: ${title}`;
    this.present({ title, status: "Drawing the regions …" });
    const command = await this.command();
    if (drawing.signal.aborted) return;
    if (!command) return this.present({ title, status: "The command grain was not found." });
    const frames = vscode.workspace.getConfiguration("grain", spec).get("preview.frames", 2);
    // A name of its own each time: webviews keep pictures by their address.
    const picture = join(this.folder, `${++this.pictures}.png`);
    const more = ["--output", picture, "--columns", String(frames)];
    const args = specArguments(command, "show", spec.fsPath, variant, ...more);
    const ending = await ended(command.executable, args, { signal: drawing.signal });
    if (drawing.signal.aborted) return;
    const address = this.panel.webview.asWebviewUri(vscode.Uri.file(picture)).toString();
    this.present({
      title,
      status: ending.ok
        ? "The saved spec. Save to draw it anew."
        : "The regions could not be drawn. Correct this, and save.",
      picture: ending.ok ? address : undefined,
      findings: ending.stderr,
    });
    await rm(join(this.folder, `${this.pictures - 1}.png`), { force: true });
  }

  private present(page: Page): void {
    const nonce = randomBytes(16).toString("base64");
    this.panel.webview.html = pageHtml(page, this.panel.webview.cspSource, nonce);
  }
}
