/** Commands that people watch: in a terminal, as a process of its own with a list of arguments. */

import * as vscode from "vscode";

import { specArguments, type Verb } from "./arguments";
import type { Command } from "./command";

/** Start `grain VERB SPEC` in a terminal, in the folder of the spec. */
export async function runInTerminal(
  command: Command,
  verb: Verb,
  spec: vscode.Uri,
  variant?: string,
): Promise<void> {
  const folder = vscode.Uri.joinPath(spec, "..").fsPath;
  const process = new vscode.ProcessExecution(
    command.executable,
    specArguments(command, verb, spec.fsPath, variant),
    { cwd: folder },
  );
  const name = [verb, spec.path.split("/").at(-1), variant].filter(Boolean).join(" ");
  const scope = vscode.workspace.getWorkspaceFolder(spec) ?? vscode.TaskScope.Workspace;
  const task = new vscode.Task({ type: "grain", verb }, scope, name, "grain", process);
  task.presentationOptions = { panel: vscode.TaskPanelKind.Dedicated, clear: true };
  await vscode.tasks.executeTask(task);
}
