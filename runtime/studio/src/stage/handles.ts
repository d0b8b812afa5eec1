/** Where a shape can be taken hold of, and what it becomes when that place is dragged. */

import { bounds, clamp, distance, moved, toCanvas, within, type Fit, type Point } from "../geometry";

export interface Drawn {
  readonly kind: string;
  readonly points: readonly Point[];
}

/** A corner of a polygon, an edge or corner of a box by its signs, or the whole shape. */
export type Handle = { vertex: number } | { edge: readonly [dx: -1 | 0 | 1, dy: -1 | 0 | 1] } | "whole";

const EDGES = [-1, 0, 1].flatMap((dx) => [-1, 0, 1].map((dy) => [dx, dy] as const)).filter(([dx, dy]) => dx || dy) as (readonly [-1 | 0 | 1, -1 | 0 | 1])[];

/** The handles of a shape with their places in the frame. */
export function handles(shape: Drawn): { handle: Handle; at: Point }[] {
  if (shape.kind === "point") return [];
  if (shape.kind === "polygon") return shape.points.map((at, vertex) => ({ handle: { vertex }, at }));
  const [low, high] = bounds(shape.points);
  const along = (sign: number, axis: 0 | 1) => ((1 - sign) * low[axis] + (1 + sign) * high[axis]) / 2;
  return EDGES.map((edge) => ({ handle: { edge }, at: [along(edge[0], 0), along(edge[1], 1)] as Point }));
}

/** What lies under a place on the canvas: handles of the picked shape first, then the topmost shape. */
export function hit(shapes: readonly Drawn[], picked: number | null, fit: Fit, place: Point, reach = 9): { index: number; handle: Handle } | null {
  const current = picked === null ? undefined : shapes[picked];
  if (current)
    for (const { handle, at } of handles(current))
      if (distance(toCanvas(fit, at), place) <= reach) return { index: picked!, handle };
  for (let index = shapes.length - 1; index >= 0; index--)
    if (covers(shapes[index]!, fit, place, reach)) return { index, handle: "whole" };
  return null;
}

function covers(shape: Drawn, fit: Fit, place: Point, reach: number): boolean {
  const points = shape.points.map((point) => toCanvas(fit, point));
  if (shape.kind === "point") return points.some((point) => distance(point, place) <= reach + 3);
  if (shape.kind === "polygon") return within(points, place);
  const [low, high] = bounds(points);
  return place[0] >= low[0] - 3 && place[0] <= high[0] + 3 && place[1] >= low[1] - 3 && place[1] <= high[1] + 3;
}

/** The least width and height of a box, as a fraction of the frame. */
const LEAST = 0.005;

/** The points of a shape after one of its handles was dragged by a fraction of the frame. */
export function dragged(shape: Drawn, handle: Handle, by: Point): Point[] {
  if (handle === "whole") return moved(shape.points, by);
  if ("vertex" in handle)
    return shape.points.map((point, i) => (i === handle.vertex ? [clamp(point[0] + by[0], 0, 1), clamp(point[1] + by[1], 0, 1)] : point));
  const [low, high] = bounds(shape.points);
  const sides = ([0, 1] as const).map((axis) => {
    const sign = handle.edge[axis];
    if (sign < 0) return [clamp(low[axis] + by[axis], 0, high[axis] - LEAST), high[axis]];
    if (sign > 0) return [low[axis], clamp(high[axis] + by[axis], low[axis] + LEAST, 1)];
    return [low[axis], high[axis]];
  });
  return [[sides[0]![0]!, sides[1]![0]!], [sides[0]![1]!, sides[1]![1]!]];
}

/** The pointer's shape over a handle. */
export function cursorOf(handle: Handle): string {
  if (handle === "whole") return "move";
  if ("vertex" in handle) return "grab";
  const [dx, dy] = handle.edge;
  if (!dx) return "ns-resize";
  if (!dy) return "ew-resize";
  return dx === dy ? "nwse-resize" : "nesw-resize";
}
