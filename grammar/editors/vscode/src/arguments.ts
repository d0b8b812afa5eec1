/**
 * The arguments of the commands behind code lenses.
 *
 * They are passed to programs as lists, never as the text of a shell command, so that no name of a
 * file or a variant can be anything but a name.
 */

import type { Command } from "./command";

export type Verb = "plan" | "run" | "show";

/** What a code lens sends with its command. */
export interface Target {
  readonly uri: string;
  readonly variant?: string;
}

/** The target of a command, if that is what its first argument is. */
export function targetOf(argument: unknown): Target | undefined {
  if (typeof argument !== "object" || argument === null || !("uri" in argument)) return undefined;
  const { uri } = argument;
  const variant = "variant" in argument ? argument.variant : undefined;
  if (typeof uri !== "string") return undefined;
  return typeof variant === "string" && variant ? { uri, variant } : { uri };
}

/** The arguments for a spec; `path` is absolute, so it is never taken for an option. */
export function specArguments(
  command: Command,
  verb: Verb,
  path: string,
  variant?: string,
  ...more: readonly string[]
): string[] {
  const chosen = variant === undefined ? [] : [`--variant=${variant}`];
  return [...command.args, verb, path, ...chosen, ...more];
}
