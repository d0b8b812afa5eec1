/** Where `grain` is: candidates in order of preference, and the first one that answers. */

import { posix, win32 } from "node:path";

/** A program and the arguments that come before those of `grain`. */
export interface Command {
  readonly executable: string;
  readonly args: readonly string[];
  /** Where it comes from, as in "the setting grain.path". */
  readonly origin: string;
}

/** What the search depends on, so that it can be tested without an editor. */
export interface Place {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  readonly searchPath: string;
  /** Folders of the workspace, the first one first. */
  readonly folders: readonly string[];
  /** Whether what lies in the workspace may be executed. */
  readonly trusted: boolean;
  /** The setting `grain.path`; empty if it is not set. */
  readonly setting: string;
  /** The interpreter that the Python extension has chosen. */
  readonly interpreter?: string | undefined;
  readonly isFile: (path: string) => boolean;
}

export const SETTING = "the setting grain.path";

/**
 * The commands to try. A setting counts alone: another `grain` in its place would be a surprise.
 * Nothing inside a workspace that is not trusted is tried.
 */
export function candidates(place: Place): Command[] {
  if (place.setting.trim()) {
    const path = expanded(place.setting.trim(), place);
    const found = isBare(path) ? onSearchPath([path], place) : path;
    return [commandOf(found ?? path, SETTING)];
  }
  const found: Command[] = [];
  if (place.interpreter && place.trusted) {
    found.push(commandOf(place.interpreter, "the Python extension's interpreter"));
  }
  for (const python of place.trusted ? environments(place) : []) {
    if (place.isFile(python)) found.push(commandOf(python, "the workspace's virtual environment"));
  }
  const program = onSearchPath(["grain"], place);
  if (program) found.push(commandOf(program, "the PATH"));
  const python = onSearchPath(["python3", "python"], place);
  if (python) found.push(commandOf(python, "the PATH"));
  return found;
}

/** A path as a command: `grain` itself, or the module of a Python interpreter. */
export function commandOf(path: string, origin: string): Command {
  const name = path.split(/[\\/]/).at(-1) ?? path;
  // -P: without it, Python would import modules from the folder that it is started in.
  const args = /^pythonw?[\d.]*(\.exe)?$/i.test(name) ? ["-P", "-m", "grainspec"] : [];
  return { executable: path, args, origin };
}

/** Whether `--version` was answered by grainspec; another program of that name exists. */
export function isGrainspec(version: string): boolean {
  return /^grain, version \d/.test(version);
}

function expanded(path: string, place: Place): string {
  const folder = place.folders[0] ?? "";
  return path.replace(/^~(?=$|[\\/])/, place.home).replaceAll("${workspaceFolder}", folder);
}

function isBare(path: string): boolean {
  return !/[\\/]/.test(path);
}

function environments(place: Place): string[] {
  const { join } = place.platform === "win32" ? win32 : posix;
  const python = place.platform === "win32" ? ["Scripts", "python.exe"] : ["bin", "python"];
  return place.folders.flatMap((folder) =>
    [".venv", "venv"].map((environment) => join(folder, environment, ...python)),
  );
}

/**
 * The first of these programs on the search path, as an absolute path. Relative entries are left
 * out, and so is the current folder, where Windows would look first.
 */
function onSearchPath(names: readonly string[], place: Place): string | undefined {
  const windows = place.platform === "win32";
  const { isAbsolute, join } = windows ? win32 : posix;
  const folders = place.searchPath.split(windows ? ";" : ":").filter((folder) => isAbsolute(folder));
  const files = names.map((name) => (windows && !/\.exe$/i.test(name) ? `${name}.exe` : name));
  return files
    .flatMap((file) => folders.map((folder) => join(folder, file)))
    .find((path) => place.isFile(path));
}
