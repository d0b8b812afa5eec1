/** Programs, started without a shell. */

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { tmpdir } from "node:os";

import { isGrainspec, type Command } from "./command";

export interface Ending {
  readonly ok: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

const environment = (): NodeJS.ProcessEnv => ({ ...process.env, PYTHONUTF8: "1" });

/** Run a program to its end; `signal` kills it, and so does `timeout` in milliseconds. */
export function ended(
  executable: string,
  args: readonly string[],
  options: { signal?: AbortSignal; timeout?: number } = {},
): Promise<Ending> {
  return new Promise((resolve) => {
    // In a folder of its own: Windows looks for programs in the current one.
    const settings = { ...options, cwd: tmpdir(), env: environment(), maxBuffer: 2 ** 24, windowsHide: true };
    execFile(executable, args, settings, (error, stdout, stderr) => {
      resolve({ ok: error === null, stdout, stderr: stderr || (error?.message ?? "") });
    });
  });
}

/** The first command that is grainspec's, with its version. */
export async function found(
  commands: readonly Command[],
): Promise<{ command: Command; version: string } | undefined> {
  for (const command of commands) {
    const { ok, stdout } = await ended(command.executable, [...command.args, "--version"], {
      timeout: 30_000,
    });
    if (ok && isGrainspec(stdout)) return { command, version: stdout.trim() };
  }
  return undefined;
}

/** The arguments that start the language server. */
export function serverArguments(command: Command): string[] {
  return [...command.args, "language-server", "--stdio"];
}

/** The running language server; `ended` gives what it has written to stderr when it has ended. */
export function startedServer(command: Command): { server: ChildProcess; ended: Promise<string> } {
  const server = spawn(command.executable, serverArguments(command), {
    cwd: tmpdir(),
    env: environment(),
    windowsHide: true,
  });
  let said = "";
  server.stderr.on("data", (part) => (said = (said + String(part)).slice(-4000)));
  const ended = new Promise<string>((resolve) => {
    server.once("error", (error) => resolve(error.message)); // it could not be started
    server.once("close", () => resolve(said)); // after "exit", when all has been read
  });
  return { server, ended };
}
