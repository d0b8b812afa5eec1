import { describe, expect, it } from "vitest";

import { SpecFile } from "../src/spec_file";

const spec = (path: string, version: string, text = "grain 1") => ({ path, version, text, root: "/edits" });

describe("SpecFile", () => {
  const file = new SpecFile();
  it("follows the studio while the page has no spec", () => {
    expect(file.news(spec("mine.grain", "1"), "")).toBe("follow");
    expect(file.news(spec("mine.grain", "1"), "typed")).toBe("follow");
  });
  it("tells a change of the file from its own state", () => {
    file.take(spec("mine.grain", "1"));
    expect(file.news(spec("mine.grain", "1"), "unsaved")).toBe("none");
    expect(file.news(spec("mine.grain", "2"), "grain 1")).toBe("reload");
    expect(file.news(spec("mine.grain", "2"), "unsaved")).toBe("conflict");
  });
  it("knows that the file is gone until it is saved or there again", () => {
    expect(file.news(spec("mine.grain", ""), "grain 1")).toBe("gone");
    expect(file.has("grain 1")).toBe(true);
    file.gone = true;
    expect(file.has("grain 1")).toBe(false);
    expect(file.news(spec("mine.grain", ""), "grain 1")).toBe("none");
    expect(file.news(spec("mine.grain", "1"), "grain 1")).toBe("back");
    expect(file.news(spec("mine.grain", "2"), "grain 1")).toBe("conflict");
    file.take(spec("mine.grain", "1"));
    expect(file.has("grain 1")).toBe(true);
  });
  it("takes no other spec for its own, whatever its version", () => {
    expect(file.news(spec("other.grain", "1"), "grain 1")).toBe("follow");
    expect(file.news(spec("other.grain", "1"), "unsaved")).toBe("elsewhere");
    expect(file.news(spec("other.grain", "2"), "unsaved")).toBe("elsewhere");
  });
});
