import { describe, expect, it } from "vitest";

import { bounds, contain, lasso, moved, ordered, simplified, toCanvas, toFrame, within, type Point } from "../src/geometry";
import { dragged, handles, hit } from "../src/stage/handles";

const fit = { left: 100, top: 50, width: 400, height: 200 };

describe("positions", () => {
  it("contains a wide frame in a tall canvas, in its middle", () => {
    expect(contain({ width: 400, height: 800 }, 2)).toEqual({ left: 0, top: 300, width: 400, height: 200 });
  });
  it("is the same after a way to the canvas and back", () => {
    for (const point of [[0, 0], [0.25, 0.75], [1, 1]] as Point[]) {
      const [x, y] = toFrame(fit, toCanvas(fit, point));
      expect(x).toBeCloseTo(point[0], 12);
      expect(y).toBeCloseTo(point[1], 12);
    }
  });
  it("keeps places beside the frame inside it", () => {
    expect(toFrame(fit, [0, 400])).toEqual([0, 1]);
  });
  it("stops a move at the frame's edge without changing the shape", () => {
    const box: Point[] = [[0.7, 0.1], [0.9, 0.3]];
    const [a, b] = moved(box, [0.5, -0.5]) as [Point, Point];
    expect(b[0]).toBeCloseTo(1);
    expect(a[1]).toBeCloseTo(0);
    expect(b[0] - a[0]).toBeCloseTo(0.2);
  });
  it("orders the corners of a box dragged in any direction", () => {
    expect(ordered([0.8, 0.2], [0.3, 0.9])).toEqual([[0.3, 0.2], [0.8, 0.9]]);
  });
});

describe("lasso", () => {
  const circle = Array.from({ length: 200 }, (_, i): Point => [
    0.5 + 0.3 * Math.cos(i / 31.9), 0.5 + 0.3 * Math.sin(i / 31.9),
  ]);
  it("needs few corners, none far from the drawn line", () => {
    const corners = lasso(circle, 0.006);
    expect(corners.length).toBeLessThan(30);
    for (const [x, y] of circle)
      expect(within(corners, [0.5 + (x - 0.5) * 0.95, 0.5 + (y - 0.5) * 0.95])).toBe(true);
  });
  it("does not close with a corner twice", () => {
    const corners = lasso(circle, 0.006);
    const [first, last] = [corners[0]!, corners.at(-1)!];
    expect(Math.hypot(first[0] - last[0], first[1] - last[1])).toBeGreaterThan(0.006);
  });
  it("keeps the ends of a straight line only", () => {
    expect(simplified([[0, 0], [0.5, 0.001], [1, 0]], 0.01)).toEqual([[0, 0], [1, 0]]);
  });
});

describe("handles", () => {
  const box = { kind: "box", points: [[0.2, 0.2], [0.4, 0.6]] as Point[] };
  it("drags a corner, and the opposite one stays", () => {
    const points = dragged(box, { edge: [1, 1] }, [0.1, 0.1]);
    expect(points[0]).toEqual([0.2, 0.2]);
    expect(points[1]![0]).toBeCloseTo(0.5);
  });
  it("never turns a box inside out", () => {
    const [low, high] = bounds(dragged(box, { edge: [-1, 0] }, [0.9, 0]));
    expect(low[0]).toBeLessThan(high[0]);
    expect(high[0]).toBe(0.4);
  });
  it("moves one corner of a polygon", () => {
    const shape = { kind: "polygon", points: [[0, 0], [1, 0], [0, 1]] as Point[] };
    expect(dragged(shape, { vertex: 0 }, [0.1, 0.2])).toEqual([[0.1, 0.2], [1, 0], [0, 1]]);
  });
  it("finds the chosen shape's handles before the shape above it", () => {
    const above = { kind: "box", points: [[0.1, 0.1], [0.9, 0.9]] as Point[] };
    expect(hit([box, above], null, fit, toCanvas(fit, [0.4, 0.6]))).toEqual({ index: 1, handle: "whole" });
    expect(hit([box, above], 0, fit, toCanvas(fit, [0.4, 0.6]))).toEqual({ index: 0, handle: { edge: [1, 1] } });
  });
  it("finds nothing beside all shapes", () => {
    expect(hit([box], 0, fit, toCanvas(fit, [0.9, 0.1]))).toBeNull();
    expect(handles({ kind: "point", points: [[0, 0]] })).toEqual([]);
  });
});
