/** The file of the text that a page has, and what to do when the studio has something else. */

import type { Spec } from "./api";

export type Known = Pick<Spec, "path" | "version">;

/**
 * What became of the file: it is as the page knows it; it changed, and the text is saved (`reload`)
 * or not (`conflict`); the studio has another spec open, and the text is saved (`follow`) or not
 * (`elsewhere`).
 */
export type News = "none" | "reload" | "conflict" | "follow" | "elsewhere";

export class SpecFile {
  path = "";
  version: Spec["version"] = "";
  /** The text of the file. */
  text = "";

  /** The page has this spec from now on. */
  take({ path, version, text }: Spec): void {
    this.path = path;
    this.version = version;
    this.text = text;
  }

  /** What the studio's open spec means for a page with this text. */
  news({ path, version }: Known, text: string): News {
    const saved = text === this.text || !this.path;
    if (path !== this.path) return saved ? "follow" : "elsewhere";
    if (version === this.version) return "none";
    return saved ? "reload" : "conflict";
  }
}
