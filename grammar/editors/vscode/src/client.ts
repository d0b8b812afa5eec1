/** The language client: one server at a time, restarted on request. */

import type { ChildProcess } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { commands, env, languages, window, workspace, type LanguageStatusItem } from "vscode";
import { CloseAction, ErrorAction, LanguageClient, type ErrorHandler } from "vscode-languageclient/node";

import { candidates, type Command } from "./command";
import { installCommand, notFound, notStarted } from "./missing";
import { place, pythonExtension } from "./place";
import { found, startedServer } from "./programs";

/**
 * A client that leaves it to {@link Client} to say why a server does not start, and whether to try
 * again. Once a server has answered, the library handles its errors and restarts it.
 */
class GrainClient extends LanguageClient {
  answered = false;

  constructor(server: () => Promise<ChildProcess>) {
    super("grain", "Grain", server, {
      documentSelector: [
        { scheme: "file", language: "grain" },
        { scheme: "untitled", language: "grain" },
      ],
      initializationFailedHandler: () => false,
      errorHandler: {
        error: (...what) =>
          this.answered
            ? this.usual.error(...what)
            : { action: ErrorAction.Continue, handled: true },
        closed: () =>
          this.answered ? this.usual.closed() : { action: CloseAction.DoNotRestart, handled: true },
      },
    });
  }

  private readonly usual: ErrorHandler = this.createDefaultErrorHandler();

  override error(message: string, data?: unknown, show?: boolean | "force"): void {
    super.error(message, data, this.answered && show);
  }
}

export class Client {
  private running: LanguageClient | undefined;
  private command: Promise<Command | undefined> | undefined;
  private readonly status: LanguageStatusItem;
  private last: Promise<void> = Promise.resolve();
  private turn = 0;
  private starting: ChildProcess | undefined;

  constructor() {
    this.status = languages.createLanguageStatusItem("grain", { language: "grain" });
    this.status.name = "Grain";
    this.status.command = { command: "grain.restart", title: "Restart" };
  }

  /** The command `grain`, found once; says what to install where there is none. */
  grain(): Promise<Command | undefined> {
    return (this.command ??= this.find());
  }

  /** Start the server, or start it again; one that does not answer yet is given up. */
  restart(): Promise<void> {
    const turn = ++this.turn;
    this.starting?.kill();
    this.last = this.last.then(async () => {
      if (turn !== this.turn) return; // another call came later
      await this.stopped();
      this.command = undefined;
      await this.start(turn);
    });
    return this.last;
  }

  async dispose(): Promise<void> {
    this.turn++;
    this.starting?.kill();
    await this.last;
    await this.stopped();
    this.status.dispose();
  }

  private async stopped(): Promise<void> {
    const client = this.running;
    this.running = undefined;
    await client?.dispose().catch(() => undefined); // a server that has ended already
  }

  private async start(turn: number): Promise<void> {
    const command = await this.grain();
    if (!command || turn !== this.turn) return;
    let started: ReturnType<typeof startedServer> | undefined;
    let gone = (): void => undefined;
    const end = new Promise<never>((_, reject) => (gone = reject));
    const client = new GrainClient(async () => {
      started = startedServer(command);
      this.starting = started.server;
      void started.ended.then(gone);
      return started.server;
    });
    try {
      await Promise.race([client.start(), end]); // the library waits for a server that has ended
      client.answered = true;
      this.running = client;
    } catch {
      await client.dispose().catch(() => undefined);
      started?.server.kill();
      const said = await Promise.race([started?.ended, pause(5000, undefined, { ref: false })]);
      if (turn !== this.turn) return;
      const interpreter = command.args.length ? command.executable : undefined;
      this.complain(notStarted(command, said ?? ""), installCommand(interpreter));
    } finally {
      this.starting = undefined;
    }
  }

  private async find(): Promise<Command | undefined> {
    const here = await place(await pythonExtension());
    const tried = candidates(here);
    const answer = await found(tried);
    this.status.text = answer?.version ?? "grain was not found";
    this.status.detail = answer ? `${answer.command.executable} (${answer.command.origin})` : "";
    if (!answer) {
      this.complain(notFound(tried, here.interpreter), installCommand(here.interpreter));
    }
    return answer?.command;
  }

  /** Show an error, and what helps; nobody waits for the answer. */
  private complain(message: string, install: string): void {
    const [copy, settings, restart] = ["Copy Command", "Open Settings", "Try Again"] as const;
    void window.showErrorMessage(message, copy, settings, restart).then(async (answer) => {
      if (answer === copy) await env.clipboard.writeText(install);
      if (answer === settings) {
        await commands.executeCommand("workbench.action.openSettings", "grain.path");
      }
      if (answer === restart) await this.restart();
    });
  }
}

/** Call `changed` whenever another `grain` may be the right one. */
export async function watchPlace(changed: () => void): Promise<{ dispose(): void }[]> {
  const python = await pythonExtension();
  const environments = python?.environments.onDidChangeActiveEnvironmentPath?.(changed);
  return [
    workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("grain.path")) changed();
    }),
    workspace.onDidGrantWorkspaceTrust(changed),
    ...(environments ? [environments] : []),
  ];
}
