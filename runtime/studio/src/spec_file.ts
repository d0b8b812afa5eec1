/** The file of the text that a page has, and what to do when the studio has something else. */

import type { Spec } from "./api";

export type Known = Pick<Spec, "path" | "version">;

/**
 * What became of the file: it is as the page knows it; it changed, and the text is saved (`reload`)
 * or not (`conflict`); it was deleted or renamed (`gone`), or is there again (`back`); the studio has
 * another spec open, and the text is saved (`follow`) or not (`elsewhere`).
 */
export type News = "none" | "reload" | "conflict" | "gone" | "back" | "follow" | "elsewhere";

export class SpecFile {
  path = "";
  version: Spec["version"] = "";
  /** The text of the file. */
  text = "";
  /** Another program deleted or renamed the file. */
  gone = false;

  /** Whether the file has this text. */
  has(text: string): boolean {
    return (text === this.text && !this.gone) || !this.path;
  }

  /** The page has this spec from now on. */
  take({ path, version, text }: Spec): void {
    this.path = path;
    this.version = version;
    this.text = text;
    this.gone = false;
  }

  /** What the studio's open spec means for a page with this text; one without a version is gone. */
  news({ path, version }: Known, text: string): News {
    if (path !== this.path) return this.has(text) ? "follow" : "elsewhere";
    if (!version) return this.gone ? "none" : "gone";
    if (version === this.version) return this.gone ? "back" : "none";
    return this.has(text) ? "reload" : "conflict";
  }
}
