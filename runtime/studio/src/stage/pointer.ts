/** Pointer and keys on the picture, by tool. Nothing here waits for the server. */

import { distance, lasso, moved, ordered, toCanvas, type Point } from "../geometry";
import type { Shape } from "../language/client";
import { notice } from "../notices";
import { perFrame } from "../pace";
import { pickedShape, studio } from "../state";
import { Arrows } from "./arrows";
import type { Painting } from "./brush";
import { cursorOf, dragged, hit, type Handle } from "./handles";
import { Painter } from "./painter";
import type { Stage, StageActions } from "./stage";

interface Drag {
  index: number;
  shape: Shape;
  handle: Handle;
  start: Point;
  points: readonly Point[];
  gesture: number;
  moved: boolean;
  /** Not let go yet. */
  held: boolean;
}

/** A press beside all shapes while shapes that were just made are on their way. */
interface Early {
  readonly at: Point;
  readonly place: Point;
  /** Where the pointer is by now, or was let go. */
  now: Point;
  held: boolean;
}

/** A pointer that moved less, in pixels, has clicked. */
const NEAR = 4;

export class Pointer {
  readonly painter: Painter;
  line: Point[] = [];
  lineEnd: Point | null = null;
  rubber: [Point, Point] | null = null;
  cross: Point | null = null;
  private drag: Drag | null = null;
  private down: Point | null = null;
  private early: Early | null = null;
  /** The region that was chosen at the press. */
  private region: string | null = null;
  private sliding = false;
  private over: Point | null = null;
  private gestures = 0;
  private readonly moveFrame = perFrame((event: PointerEvent) => this.moved(event));

  constructor(
    private readonly stage: Stage,
    private readonly actions: StageActions,
  ) {
    const { canvas } = stage;
    this.painter = new Painter(stage.pictures, actions, () => stage.redraw());
    canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    canvas.addEventListener("pointermove", (event) => {
      if (this.painter.picture && this.down && "getCoalescedEvents" in event)
        for (const each of event.getCoalescedEvents()) this.painter.dab(this.stage.frameAt(each));
      this.moveFrame(event);
    });
    canvas.addEventListener("pointerup", (event) => this.released(event));
    canvas.addEventListener("pointercancel", () => this.cancel());
    canvas.addEventListener("pointerleave", () => {
      this.over = null;
      stage.redraw();
    });
    canvas.addEventListener("dblclick", () => this.finishLine());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    new Arrows(stage, this, actions);
    canvas.addEventListener("blur", () => {
      this.cross = null;
      stage.redraw();
    });
    studio.watch(["tool", "region"], (now) => this.painter.goesOn(now) || this.interrupted());
    studio.watch(["frame"], (now) => this.painter.goesOn(now) || (this.down ? this.interrupted() : this.forget()));
    studio.watch(["path", "view"], () => this.interrupted());
    studio.watch(["shapes"], () => {
      if (this.drag && !this.down) this.drag = null;
    });
  }

  /** The shapes as they are shown: one that is dragged, until its text is read anew, where it is by now. */
  drawn(): readonly Shape[] {
    const { drag } = this;
    const points = drag?.moved ? drag.points.map(([x, y]): [number, number] => [x, y]) : null;
    return studio.now.shapes.map((shape, i) => (points && i === drag?.index ? { ...shape, points } : shape));
  }

  /** Whether something is being drawn or dragged. */
  get busy(): boolean {
    return this.down !== null || this.line.length > 0 || this.rubber !== null;
  }

  /** The region whose mask is behind its shape at the moment. */
  get hidden(): string | null {
    if (this.painter.region) return this.painter.region;
    return this.drag?.moved && !this.drag.shape.prompt ? this.drag.shape.region : null;
  }

  /** A number for a gesture, by which its edits are one step of undo. */
  number(): number {
    return ++this.gestures;
  }

  /** Break off what is being drawn or dragged: nothing of it stays. */
  cancel(): void {
    this.line = [];
    this.lineEnd = null;
    this.forget();
  }

  /** The same, because something else was chosen: corners that were clicked are not dropped silently. */
  private interrupted(): void {
    if (this.line.length && !this.down) notice("The polygon that was begun is dropped: its corners were not joined.");
    this.cancel();
  }

  /** All but the corners of a polygon, which may be joined on another frame. */
  private forget(): void {
    const { drag } = this;
    this.rubber = this.down = this.drag = this.early = null;
    this.painter.cancel();
    if (drag?.moved && drag.held) this.actions.breakOff(drag.gesture);
    this.stage.redraw();
  }

  /** Move the chosen shape; it goes on from where it is shown. */
  nudge(by: Point): void {
    const shape = pickedShape();
    const index = studio.now.picked;
    if (!shape || index === null || this.down) return;
    const before = this.drag?.index === index && this.drag.moved ? this.drag : null;
    const gesture = before?.gesture ?? this.number();
    const points = moved(before?.points ?? shape.points, by);
    this.drag = { index, shape, handle: "whole", start: by, points, gesture, moved: true, held: false };
    this.actions.move(shape, points, gesture, true);
  }

  /** Close the polygon that is being clicked together. */
  finishLine(): void {
    if (studio.now.tool !== "polygon" || this.line.length < 3 || this.down) return;
    const points = this.line.filter((p, i, all) => !i || distance(p, all[i - 1]!) > 1e-4);
    this.line = [];
    this.lineEnd = null;
    if (points.length > 2) this.actions.draw("polygon", points, this.region);
    this.stage.redraw();
  }

  private pressed(event: PointerEvent): void {
    const { tool, region, view, clip } = studio.now;
    if (!clip) return;
    if (event.button !== 0 && !(event.button === 2 && tool === "point")) return;
    this.stage.canvas.focus({ preventScroll: true });
    this.stage.canvas.setPointerCapture(event.pointerId);
    this.cross = null;
    const at = this.stage.frameAt(event);
    if (view !== "clip") {
      this.sliding = view === "slider";
      this.slide(at);
      return;
    }
    studio.set({ playing: false });
    this.down = at;
    if (!this.line.length) this.region = region;
    if (tool === "select") {
      const place = this.stage.place(event);
      if (this.grab(at, place)) return;
      const settled = this.actions.settled();
      if (!settled) return;
      const early: Early = (this.early = { at, place, now: at, held: true });
      void settled.then(() => this.catchUp(early));
    } else if (tool === "brush" || tool === "eraser") {
      this.painter.begin();
      this.painter.dab(at);
    } else if (tool === "polygon") this.line.push(at);
    this.stage.redraw();
  }

  /** Take hold of what is shown at a place, if there is something. */
  private grab(at: Point, place: Point): boolean {
    const shapes = this.drawn();
    const found = hit(shapes, studio.now.picked, this.stage.fit, place);
    const shape = found && shapes[found.index];
    studio.set({ picked: found?.index ?? null, ...(shape ? { region: shape.region } : {}) });
    this.down = at;
    this.drag = null;
    if (!found || !shape) return false;
    this.actions.reveal(shape);
    this.drag = { ...found, shape, start: at, points: shape.points, gesture: this.number(), moved: false, held: true };
    return true;
  }

  /** The shapes have come: do what was begun on one of them before. */
  private catchUp(early: Early): void {
    if (studio.now.tool !== "select" || studio.now.view !== "clip") return;
    const current = this.early === early && early.held;
    if (current) this.early = null;
    if ((this.down && !current) || !this.grab(early.at, early.place)) return;
    const travelled = distance(toCanvas(this.stage.fit, early.at), toCanvas(this.stage.fit, early.now));
    if (early.held) this.dragTo(early.now);
    else {
      this.down = null;
      this.letGo(early.now, travelled);
    }
    this.stage.redraw();
  }

  private moved(event: PointerEvent): void {
    const at = this.stage.frameAt(event);
    const { tool, picked, view } = studio.now;
    this.over = at;
    if (view !== "clip") {
      this.stage.canvas.style.cursor = view === "slider" ? "ew-resize" : "default";
      if (this.sliding) this.slide(at);
      return;
    }
    if (this.early?.held) this.early.now = at;
    if (this.drag && this.down) this.dragTo(at);
    else if (this.down && tool === "box") this.rubber = ordered(this.down, at);
    else if (this.down && tool === "polygon") {
      if (distance(toCanvas(this.stage.fit, this.line.at(-1)!), toCanvas(this.stage.fit, at)) > 2) this.line.push(at);
    } else if (tool === "polygon" && this.line.length) this.lineEnd = at;
    else if (tool === "select") {
      const found = hit(this.drawn(), picked, this.stage.fit, this.stage.place(event));
      this.stage.canvas.style.cursor = found ? cursorOf(found.handle) : "default";
    }
    if (tool !== "select") this.stage.canvas.style.cursor = tool === "brush" || tool === "eraser" ? "none" : "crosshair";
    this.stage.redraw();
  }

  private released(event: PointerEvent): void {
    this.sliding = false;
    const { tool, view } = studio.now;
    const { region } = this;
    const start = this.down;
    this.down = null;
    if (!start || view !== "clip") return;
    const at = this.stage.frameAt(event);
    const travelled = distance(toCanvas(this.stage.fit, start), this.stage.place(event));
    if (this.early?.held) Object.assign(this.early, { now: at, held: false });
    if (this.drag) this.letGo(at, travelled);
    else if (tool === "point") this.actions.draw(event.shiftKey || event.button === 2 ? "not_point" : "point", [at], region);
    else if (tool === "box") {
      this.rubber = null;
      if (travelled > NEAR) this.actions.draw("box", ordered(start, at), region);
    } else if (tool === "polygon") this.endStroke(at);
    else if (this.painter.picture) this.painter.end();
    this.stage.redraw();
  }

  private dragTo(at: Point): void {
    const drag = this.drag!;
    const by: Point = [at[0] - drag.start[0], at[1] - drag.start[1]];
    if (!drag.moved && distance(toCanvas(this.stage.fit, at), toCanvas(this.stage.fit, drag.start)) < NEAR) return;
    drag.moved = true;
    drag.points = dragged(drag.shape, drag.handle, by);
    this.actions.move(drag.shape, drag.points, drag.gesture, false);
  }

  private letGo(at: Point, travelled: number): void {
    if (travelled >= NEAR || this.drag!.moved) {
      this.dragTo(at);
      this.drag!.held = false;
      this.actions.move(this.drag!.shape, this.drag!.points, this.drag!.gesture, true);
    } else this.drag = null;
  }

  /** A drawn stroke of a lasso closes it; a click is one corner more. */
  private endStroke(at: Point): void {
    const drawn = this.line;
    const fit = this.stage.fit;
    const first = drawn[0]!;
    const pixels = drawn.reduce((sum, p, i) => (i ? sum + distance(toCanvas(fit, drawn[i - 1]!), toCanvas(fit, p)) : 0), 0);
    if (drawn.length > 8 && pixels > 60) {
      const outline = lasso([...drawn, at], 0.006);
      this.line = [];
      if (outline.length > 2) this.actions.draw("polygon", outline, this.region);
    } else if (drawn.length > 3 && distance(toCanvas(fit, first), toCanvas(fit, at)) < 10) {
      drawn.pop();
      this.finishLine();
    }
  }

  drawPainting(context: CanvasRenderingContext2D, painting: Painting, colour: string): void {
    const { left, top, width, height } = this.stage.fit;
    context.globalAlpha = 0.55;
    context.drawImage(painting.in(colour), left, top, width, height);
    context.globalAlpha = 1;
  }

  drawBrush(context: CanvasRenderingContext2D, colour: string): void {
    const { tool, brush } = studio.now;
    const at = this.over ?? this.cross;
    if ((tool !== "brush" && tool !== "eraser") || !at) return;
    const [x, y] = toCanvas(this.stage.fit, at);
    for (const [width, style] of [[3, "rgba(0,0,0,.5)"], [1.5, tool === "brush" ? colour : "#fff"]] as const) {
      context.beginPath();
      context.arc(x, y, (brush * this.stage.fit.height) / 2, 0, 2 * Math.PI);
      context.lineWidth = width;
      context.strokeStyle = style;
      context.stroke();
    }
  }

  slide([x]: Point): void {
    this.stage.slider = x;
    this.stage.redraw();
  }
}
