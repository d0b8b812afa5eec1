/** The picture by keyboard: arrow keys move a cross or the chosen shape, Enter does what a click does. */

import { clamp, moved, ordered, type Point } from "../geometry";
import { notice } from "../notices";
import { pickedShape, studio } from "../state";
import type { Pointer } from "./pointer";
import type { Stage, StageActions } from "./stage";

/** How far an arrow key moves, as fractions of the frame: alone, and with Shift. */
const FINE = 0.004;
const COARSE = 0.04;

export class Arrows {
  constructor(
    private readonly stage: Stage,
    private readonly pointer: Pointer,
    private readonly actions: StageActions,
  ) {
    stage.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    const steps: Record<string, Point> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const direction = steps[event.key];
    const { tool, view } = studio.now;
    if (!studio.now.clip || event.ctrlKey || event.metaKey || event.altKey) return;
    if (direction) {
      const size = event.shiftKey ? COARSE : FINE;
      const by: Point = [direction[0] * size, direction[1] * size];
      if (view === "slider") this.pointer.slide([clamp(this.stage.slider + by[0] * 3, 0, 1), 0]);
      else if (tool === "select") this.pointer.nudge(by);
      else this.pointer.cross = moved([this.pointer.cross ?? [0.5, 0.5]], by)[0]!;
    } else if (event.key === "Enter") {
      if (!event.repeat) this.enter(event.shiftKey);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      const shape = event.repeat ? null : pickedShape();
      if (shape) this.actions.remove(shape);
    } else return;
    event.preventDefault();
    event.stopPropagation();
    this.stage.redraw();
  }

  /** Enter does what a click at the cross would do. */
  private enter(shift: boolean): void {
    const { tool, region, shapes, picked } = studio.now;
    if (tool === "select") {
      const next = ((picked ?? -1) + 1) % Math.max(1, shapes.length);
      const shape = shapes[next];
      if (shape) studio.set({ picked: next, region: shape.region });
      return;
    }
    if (tool === "polygon" && (shift || (!this.pointer.cross && this.pointer.line.length))) {
      if (this.pointer.line.length < 3) notice("A polygon has three corners or more.");
      else this.pointer.finishLine();
      return;
    }
    const at = this.pointer.cross ?? [0.5, 0.5];
    this.pointer.cross = at;
    if (tool === "point") this.actions.draw(shift ? "not_point" : "point", [at], region);
    else if (tool === "box") {
      if (!this.pointer.rubber) this.pointer.rubber = [at, at];
      else {
        this.actions.draw("box", ordered(this.pointer.rubber[0], at), region);
        this.pointer.rubber = null;
      }
    } else if (tool === "polygon") this.pointer.line.push(at);
    else {
      this.pointer.painter.begin();
      this.pointer.painter.dab(at);
      this.pointer.painter.end();
    }
  }
}
