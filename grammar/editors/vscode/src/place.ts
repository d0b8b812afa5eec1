/** What the search for `grain` depends on, as the editor says it. */

import { statSync } from "node:fs";
import { homedir } from "node:os";
import * as vscode from "vscode";

import type { Place } from "./command";

/** The part of the Python extension's interface that is used here. */
interface PythonExtension {
  readonly environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { readonly path: string };
    resolveEnvironment(path: {
      readonly path: string;
    }): Promise<{ readonly executable: { readonly uri?: vscode.Uri } } | undefined>;
    readonly onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

/** The search's place; `python` is the Python extension, if it is installed. */
export async function place(python: PythonExtension | undefined): Promise<Place> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  return {
    platform: process.platform,
    home: homedir(),
    searchPath: process.env["PATH"] ?? "",
    folders: folders.filter(({ uri }) => uri.scheme === "file").map(({ uri }) => uri.fsPath),
    trusted: vscode.workspace.isTrusted,
    setting: vscode.workspace.getConfiguration("grain").get("path", ""),
    interpreter: await interpreter(python),
    isFile: (path) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false,
  };
}

/** The interface of the Python extension, which is optional. */
export async function pythonExtension(): Promise<PythonExtension | undefined> {
  const extension = vscode.extensions.getExtension<PythonExtension>("ms-python.python");
  try {
    return await extension?.activate();
  } catch {
    return undefined; // its own errors are its own to show
  }
}

async function interpreter(python: PythonExtension | undefined): Promise<string | undefined> {
  try {
    const environments = python?.environments;
    const path = environments?.getActiveEnvironmentPath();
    const environment = path && (await environments?.resolveEnvironment(path));
    return environment?.executable.uri?.fsPath;
  } catch {
    return undefined;
  }
}
