import { describe, expect, it } from "vitest";

import { Latest, perFrame, Turn } from "../src/pace";

describe("perFrame", () => {
  it("works once a frame, with the newest value", () => {
    const done: number[] = [];
    const frames: (() => void)[] = [];
    const ask = perFrame<number>((value) => done.push(value), (run) => frames.push(run));
    ask(1);
    ask(2);
    ask(3);
    expect(frames.length).toBe(1);
    frames.shift()!();
    expect(done).toEqual([3]);
    ask(4);
    frames.shift()!();
    expect(done).toEqual([3, 4]);
  });
});

describe("Latest", () => {
  it("has one request under way, drops those between, and answers the last", async () => {
    const done: number[] = [];
    const answers: (() => void)[] = [];
    const latest = new Latest<number>(async (value) => {
      await new Promise<void>((resolve) => answers.push(resolve));
      done.push(value);
    });
    const all = [1, 2, 3, 4].map((value) => latest.ask(value));
    expect(answers.length).toBe(1);
    answers.shift()!();
    await new Promise((resolve) => setTimeout(resolve));
    expect(answers.length).toBe(1);
    answers.shift()!();
    await Promise.all(all);
    expect(done).toEqual([1, 4]);
  });
  it("keeps what a later value does not replace", async () => {
    const done: string[] = [];
    const latest = new Latest<string>(
      async (value) => {
        await Promise.resolve();
        done.push(value);
      },
      (value, waiting) => value[0] === waiting[0],
    );
    await Promise.all(["a1", "a2", "a3", "b1", "b2"].map((value) => latest.ask(value)));
    expect(done).toEqual(["a1", "a3", "b2"]);
  });
  it("goes on after a failure", async () => {
    const latest = new Latest<number>(async (value) => {
      if (value === 1) throw new Error("refused");
    });
    await expect(latest.ask(1)).rejects.toThrow("refused");
    await expect(latest.ask(2)).resolves.toBeUndefined();
  });
});

describe("Turn", () => {
  it("tells an answer that is no longer wanted", () => {
    const turn = new Turn();
    const first = turn.begin();
    expect(first()).toBe(true);
    const second = turn.begin();
    expect(first()).toBe(false);
    expect(second()).toBe(true);
  });
});
