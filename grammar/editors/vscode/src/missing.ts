/** What to say when `grain` cannot be started. */

import { SETTING, type Command } from "./command";

/** What to install for the language server. */
export const PACKAGE = "grainspec[editor]";

/** The command that installs or upgrades it; for a known interpreter, into its environment. */
export function installCommand(interpreter?: string): string {
  const python = interpreter ? `"${interpreter}" -m pip` : "pip";
  return `${python} install -U "${PACKAGE}"`;
}

/** No candidate answered. */
export function notFound(tried: readonly Command[], interpreter?: string): string {
  const chosen = tried.find((command) => command.origin === SETTING);
  const wrong = chosen
    ? `\`${chosen.executable}\` (${SETTING}) is neither grain nor a Python with grainspec.`
    : "The command `grain` was not found.";
  return `${wrong} Install it with: ${installCommand(interpreter)}`;
}

/** The server ended before it answered; `said` is what it wrote to stderr. */
export function notStarted(command: Command, said: string): string {
  const lines = said.trim().split("\n").map((line) => line.trim());
  const reason = lines.slice(-4).join(" ").replace(/\.$/, "");
  const program = `\`${command.executable}\` (${command.origin})`;
  return (
    `${program} did not start the language server${reason && `: ${reason}`}. ` +
    `Install or upgrade it with: ${installCommand(command.args.length ? command.executable : undefined)}`
  );
}
