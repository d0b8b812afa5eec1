/** Positions: fractions of the source frame, pixels of the canvas, and between them. */

export type Point = readonly [x: number, y: number];

/** Where the frame lies on the canvas, in CSS pixels. */
export interface Fit {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The largest rectangle of the frame's aspect in the middle of the canvas. */
export function contain(canvas: { width: number; height: number }, aspect: number, margin = 0): Fit {
  const width = Math.max(1, canvas.width - 2 * margin);
  const height = Math.max(1, canvas.height - 2 * margin);
  const scale = Math.min(width / aspect, height);
  const size = { width: Math.round(scale * aspect), height: Math.round(scale) };
  return {
    left: Math.round((canvas.width - size.width) / 2),
    top: Math.round((canvas.height - size.height) / 2),
    ...size,
  };
}

export const toCanvas = (fit: Fit, [x, y]: Point): Point => [
  fit.left + x * fit.width,
  fit.top + y * fit.height,
];

/** A canvas position as fractions of the frame, kept inside it. */
export const toFrame = (fit: Fit, [x, y]: Point): Point => [
  clamp((x - fit.left) / fit.width, 0, 1),
  clamp((y - fit.top) / fit.height, 0, 1),
];

export const clamp = (value: number, low: number, high: number): number =>
  Math.min(high, Math.max(low, value));

export const distance = (a: Point, b: Point): number => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** The two corners of a box, first the upper left one. */
export const ordered = ([ax, ay]: Point, [bx, by]: Point): [Point, Point] => [
  [Math.min(ax, bx), Math.min(ay, by)],
  [Math.max(ax, bx), Math.max(ay, by)],
];

/** The centre of the points. */
export function centre(points: readonly Point[]): Point {
  const [low, high] = bounds(points);
  return [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2];
}

export function bounds(points: readonly Point[]): [Point, Point] {
  const xs = points.map((p) => p[0]);
  const ys = points.map((p) => p[1]);
  return [
    [Math.min(...xs), Math.min(...ys)],
    [Math.max(...xs), Math.max(...ys)],
  ];
}

/** Points moved together, no further than the frame's edges. */
export function moved(points: readonly Point[], by: Point): Point[] {
  const [low, high] = bounds(points);
  const dx = clamp(by[0], -low[0], 1 - high[0]);
  const dy = clamp(by[1], -low[1], 1 - high[1]);
  return points.map(([x, y]) => [x + dx, y + dy]);
}

/** Whether a point lies in a polygon (even-odd rule). */
export function within(polygon: readonly Point[], [x, y]: Point): boolean {
  let inside = false;
  polygon.forEach(([ax, ay], i) => {
    const [bx, by] = polygon[(i + polygon.length - 1) % polygon.length]!;
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  });
  return inside;
}

/** A drawn line with the fewest points that stay within `tolerance` of it (Douglas-Peucker). */
export function simplified(line: readonly Point[], tolerance: number): Point[] {
  if (line.length < 3) return [...line];
  const first = line[0]!;
  const last = line.at(-1)!;
  let farthest = 0;
  let gap = 0;
  line.forEach((point, i) => {
    const d = fromSegment(point, first, last);
    if (d > gap) [farthest, gap] = [i, d];
  });
  if (gap <= tolerance) return [first, last];
  return [
    ...simplified(line.slice(0, farthest + 1), tolerance).slice(0, -1),
    ...simplified(line.slice(farthest), tolerance),
  ];
}

/** A lasso's outline as a polygon of few corners, in units of the frame. */
export function lasso(line: readonly Point[], tolerance: number): Point[] {
  const closed = simplified(line, tolerance);
  const end = closed.at(-1);
  if (closed.length > 3 && end && distance(closed[0]!, end) < 2 * tolerance) closed.pop();
  return closed;
}

function fromSegment(p: Point, a: Point, b: Point): number {
  const length = distance(a, b);
  if (length === 0) return distance(p, a);
  const t = clamp(((p[0] - a[0]) * (b[0] - a[0]) + (p[1] - a[1]) * (b[1] - a[1])) / length ** 2, 0, 1);
  return distance(p, [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])]);
}
