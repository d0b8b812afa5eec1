/** How shapes and gestures look on the canvas. */

import { bounds, toCanvas, type Fit, type Point } from "../geometry";
import { handles, type Drawn } from "./handles";

type Context = CanvasRenderingContext2D;

/** A line that can be seen on any picture: dark below, coloured above. */
function stroke(context: Context, colour: string, width: number, dash: number[] = []): void {
  context.setLineDash([]);
  context.strokeStyle = "rgba(0, 0, 0, .55)";
  context.lineWidth = width + 2;
  context.stroke();
  context.setLineDash(dash);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
  context.setLineDash([]);
}

export function drawShape(context: Context, fit: Fit, shape: Drawn & { inside?: boolean; prompt?: boolean }, colour: string, picked: boolean): void {
  const points = shape.points.map((point) => toCanvas(fit, point));
  if (shape.kind === "point") {
    for (const point of points) drawPoint(context, point, colour, shape.inside !== false, picked);
    return;
  }
  context.beginPath();
  if (shape.kind === "polygon") trace(context, points, true);
  else {
    const [low, high] = bounds(points);
    const [w, h] = [high[0] - low[0], high[1] - low[1]];
    if (shape.kind === "ellipse") context.ellipse(low[0] + w / 2, low[1] + h / 2, w / 2, h / 2, 0, 0, 2 * Math.PI);
    else context.rect(low[0], low[1], w, h);
  }
  stroke(context, colour, picked ? 2 : 1.5, shape.prompt ? [6, 4] : []);
  if (picked) for (const { at } of handles(shape)) drawHandle(context, toCanvas(fit, at));
}

export function trace(context: Context, points: readonly Point[], close: boolean): void {
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  if (close) context.closePath();
}

export function drawHandle(context: Context, [x, y]: Point): void {
  context.beginPath();
  context.rect(x - 4, y - 4, 8, 8);
  context.fillStyle = "#fff";
  context.fill();
  context.strokeStyle = "rgba(0, 0, 0, .75)";
  context.lineWidth = 1.25;
  context.stroke();
}

/** A disc with `+` for what belongs to the region, a ring with `−` for what does not. */
export function drawPoint(context: Context, [x, y]: Point, colour: string, inside: boolean, picked: boolean): void {
  const radius = picked ? 8.5 : 7;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = inside ? colour : "rgba(20, 22, 26, .85)";
  context.fill();
  context.lineWidth = picked ? 2.5 : 1.75;
  context.strokeStyle = inside ? "#fff" : colour;
  context.stroke();
  context.beginPath();
  context.moveTo(x - 3.25, y);
  context.lineTo(x + 3.25, y);
  if (inside) {
    context.moveTo(x, y - 3.25);
    context.lineTo(x, y + 3.25);
  }
  context.lineWidth = 1.75;
  context.strokeStyle = inside ? "#fff" : colour;
  context.stroke();
}

/** A line that is being drawn: a lasso, or a polygon's sides so far. */
export function drawLine(context: Context, fit: Fit, line: readonly Point[], colour: string, end: Point | null): void {
  const points = line.map((point) => toCanvas(fit, point));
  if (end) points.push(toCanvas(fit, end));
  context.beginPath();
  trace(context, points, false);
  stroke(context, colour, 1.75, end ? [5, 4] : []);
  if (end) for (const point of line) drawHandle(context, toCanvas(fit, point));
}

/** The cross that arrow keys move. */
export function drawCross(context: Context, fit: Fit, at: Point, colour: string): void {
  const [x, y] = toCanvas(fit, at);
  context.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
    context.moveTo(x + 4 * dx, y + 4 * dy);
    context.lineTo(x + 14 * dx, y + 14 * dy);
  }
  stroke(context, colour, 1.75);
}

/** The part of the frame that is edited, when it is not all of it. */
export function drawUnused(context: Context, fit: Fit, box: readonly number[]): void {
  const [x0, y0, x1, y1] = box as [number, number, number, number];
  if (x0 <= 0 && y0 <= 0 && x1 >= 1 && y1 >= 1) return;
  const [left, top] = toCanvas(fit, [x0, y0]);
  const [right, bottom] = toCanvas(fit, [x1, y1]);
  context.beginPath();
  context.rect(fit.left, fit.top, fit.width, fit.height);
  context.rect(left, top, right - left, bottom - top);
  context.fillStyle = "rgba(10, 12, 15, .5)";
  context.fill("evenodd");
}
