/** The extension: the language server's client, and the commands behind code lenses. */

import * as vscode from "vscode";

import { targetOf, type Verb } from "./arguments";
import { Client, watchPlace } from "./client";
import { Preview } from "./preview";
import { runInTerminal } from "./terminal";

let client: Client | undefined;
let preview: Promise<Preview> | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const started = (client = new Client());
  context.subscriptions.push(
    vscode.commands.registerCommand("grain.show", (target) => onSpec(target, show)),
    vscode.commands.registerCommand("grain.plan", (target) => onSpec(target, terminal("plan"))),
    vscode.commands.registerCommand("grain.run", (target) => onSpec(target, terminal("run"))),
    vscode.commands.registerCommand("grain.restart", () => started.restart()),
    { dispose: () => void preview?.then((open) => open.dispose()) },
  );
  const restart = (): void => void started.restart();
  context.subscriptions.push(...(await watchPlace(restart)));
  await started.restart();
}

export async function deactivate(): Promise<void> {
  await client?.dispose();
}

type Work = (spec: vscode.Uri, variant?: string) => Promise<void>;

/** Do something with a saved spec: the one that a code lens names, or that of the editor. */
async function onSpec(argument: unknown, work: Work): Promise<void> {
  const target = targetOf(argument);
  const editor = vscode.window.activeTextEditor?.document;
  // Menus pass a Uri, and the palette nothing; both mean the editor's spec.
  const spec = target ? vscode.Uri.parse(target.uri, true) : editor?.uri;
  if (!spec || spec.scheme !== "file") {
    void vscode.window.showErrorMessage("Open a .grain file on this computer first.");
    return;
  }
  if (!vscode.workspace.isTrusted) {
    void vscode.window.showErrorMessage("Trust this workspace first: this reads the files that its specs name.");
    return;
  }
  const document = vscode.workspace.textDocuments.find((open) => open.uri.toString() === spec.toString());
  if (document?.isDirty && !(await document.save())) return;
  await work(spec, target?.variant);
}

function terminal(verb: Verb): Work {
  return async (spec, variant) => {
    const command = await client?.grain();
    if (command) await runInTerminal(command, verb, spec, variant);
  };
}

async function show(spec: vscode.Uri, variant?: string): Promise<void> {
  if (preview) {
    (await preview).show(spec, variant);
    return;
  }
  const grain = async () => client?.grain();
  const closed = (): void => void (preview = undefined);
  preview = Preview.open(grain, spec, variant, closed);
  await preview.catch((error: unknown) => {
    closed();
    throw error; // the editor shows it
  });
}
