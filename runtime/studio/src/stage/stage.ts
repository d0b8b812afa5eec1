/** The picture: a frame of the clip with regions and shapes, or a run beside its source. */

import { api } from "../api";
import { h } from "../dom";
import { contain, toFrame, type Fit, type Point } from "../geometry";
import type { Shape } from "../language/client";
import { perFrame } from "../pace";
import { colourOf, currentRun, pickedShape, studio } from "../state";
import { Compare } from "./compare";
import { drawCross, drawLine, drawShape, drawUnused } from "./drawing";
import type { PainterActions } from "./painter";
import { Pictures } from "./pictures";
import { Pointer } from "./pointer";
import { Tints, VEIL } from "./tint";

export interface StageActions extends PainterActions {
  draw(kind: string, points: readonly Point[], region: string | null): void;
  /** A shape is being dragged; `last` when it is let go. */
  move(shape: Shape, points: readonly Point[], gesture: number, last: boolean): void;
  /** A drag does not go on: the text is as it was before it. */
  breakOff(gesture: number): void;
  remove(shape: Shape): void;
  /** Settles when the shapes are those after all gestures so far; null if they are. */
  settled(): Promise<unknown> | null;
  /** Show a shape's text. */
  reveal(shape: Shape): void;
}

/** Widths at which frames are fetched: few, so that the cache is used when the window changes. */
const WIDTHS = [640, 960, 1280, 1920];

export class Stage {
  readonly canvas: HTMLCanvasElement;
  readonly pictures = new Pictures(160, () => this.redraw());
  readonly pointer: Pointer;
  fit: Fit = { left: 0, top: 0, width: 1, height: 1 };
  /** Share of the frame's width at which the slider stands. */
  slider = 0.5;
  private readonly tints = new Tints();
  private readonly compare = new Compare(this);
  private shown: ImageBitmap | null = null;
  private box: readonly number[] = [0, 0, 1, 1];
  private readonly nextFrame = perFrame<void>(() => this.draw());

  constructor(parent: HTMLElement, actions: StageActions) {
    this.canvas = h("canvas", {
      class: "picture", tabindex: 0, role: "application",
      "aria-label": "Picture. Arrow keys move the cross or the chosen shape, Enter places",
    });
    parent.append(this.canvas);
    this.pointer = new Pointer(this, actions);
    new ResizeObserver(() => this.redraw()).observe(parent);
    studio.watch(
      ["clip", "frame", "shapes", "picked", "regions", "mask", "overlay", "region", "tool", "view", "run", "runs"],
      () => this.redraw(),
    );
  }

  /** Draw at the next animation frame. */
  redraw(): void {
    this.nextFrame();
  }

  setBox(box: readonly number[]): void {
    this.box = box;
    this.redraw();
  }

  frameAt(event: { clientX: number; clientY: number }): Point {
    return toFrame(this.fit, this.place(event));
  }

  place(event: { clientX: number; clientY: number }): Point {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** The address of a frame of the clip, at the size it is shown in. */
  address(frame: number): string | null {
    const { clip } = studio.now;
    if (!clip) return null;
    const wanted = this.fit.width * devicePixelRatio;
    const width = WIDTHS.find((w) => w >= wanted) ?? WIDTHS.at(-1)!;
    return api.frame(frame, Math.min(width, clip.width), clip);
  }

  /** Fetch the frames around the playhead. */
  prefetch(frame: number, ahead: number): void {
    const frames = studio.now.clip?.frames ?? 0;
    for (let n = Math.max(0, frame - 1); n <= Math.min(frames - 1, frame + ahead); n++) {
      const address = this.address(n);
      if (address) this.pictures.get(address);
    }
  }

  private draw(): void {
    const { clip, frame, view } = studio.now;
    const parent = this.canvas.parentElement!;
    const size = { width: parent.clientWidth, height: parent.clientHeight };
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(size.width * ratio) || this.canvas.height !== Math.round(size.height * ratio)) {
      this.canvas.width = Math.round(size.width * ratio);
      this.canvas.height = Math.round(size.height * ratio);
    }
    const context = this.canvas.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    if (!clip) return;
    const run = view === "clip" ? null : currentRun();
    if (run) return this.compare.draw(context, size, run);
    this.fit = contain(size, clip.width / clip.height, 12);
    const address = this.address(frame);
    this.shown = (address && this.pictures.get(address)) || this.shown;
    this.prefetch(frame, studio.now.playing ? 6 : 2);
    this.drawPicture(context, this.shown, this.fit);
    drawUnused(context, this.fit, this.box);
    if (studio.now.overlay) this.drawRegions(context);
    this.drawShapes(context);
    this.drawGesture(context);
  }

  drawPicture(context: CanvasRenderingContext2D, picture: ImageBitmap | null, fit: Fit): void {
    context.fillStyle = "rgba(128, 128, 128, .12)";
    context.fillRect(fit.left, fit.top, fit.width, fit.height);
    if (!picture || !picture.width) return;
    const enlarged = fit.width / picture.width;
    context.imageSmoothingEnabled = enlarged < 3;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, fit.left, fit.top, fit.width, fit.height);
    context.imageSmoothingEnabled = true;
  }

  private drawRegions(context: CanvasRenderingContext2D): void {
    const { regions, written, mask, frame, region } = studio.now;
    const { left, top, width, height } = this.fit;
    for (const { name } of written) {
      if (name === this.pointer.hidden) continue;
      const facts = regions.find((each) => each.name === name);
      const painting = this.pointer.painter.paintedOf(name, frame);
      const address = mask && facts && !facts.empty ? api.mask(mask.key, name, mask.frame) : null;
      const picture = address && this.pictures.get(address);
      if (address && picture) {
        if (facts!.use === "keep" && name !== region) continue;
        const veil = (facts!.share ?? 0) > 0.4 ? VEIL.wide : name === region ? VEIL.chosen : VEIL.other;
        context.drawImage(this.tints.get(address, picture, width, height, facts!.colour, veil), left, top);
      } else if (painting) this.pointer.drawPainting(context, painting, colourOf(name));
    }
  }

  private drawShapes(context: CanvasRenderingContext2D): void {
    const { shapes, region } = studio.now;
    const chosen = pickedShape();
    const picked = chosen && shapes.indexOf(chosen);
    this.pointer.drawn().forEach((shape, i) => {
      context.globalAlpha = region && shape.region !== region && i !== picked ? 0.7 : 1;
      drawShape(context, this.fit, shape, colourOf(shape.region), i === picked);
    });
    context.globalAlpha = 1;
  }

  private drawGesture(context: CanvasRenderingContext2D): void {
    const { region } = studio.now;
    const { painter, line, lineEnd, rubber, cross } = this.pointer;
    const colour = colourOf(region);
    painter.prepare();
    if (painter.picture) this.pointer.drawPainting(context, painter.picture, colour);
    if (rubber) drawShape(context, this.fit, { kind: "box", points: rubber }, colour, false);
    if (line.length) drawLine(context, this.fit, line, colour, lineEnd);
    if (cross) drawCross(context, this.fit, cross, colour);
    this.pointer.drawBrush(context, colour);
  }
}
