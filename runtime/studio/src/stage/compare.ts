/** A run beside its source: under a slider, side by side, or as their difference. */

import { api, type Run } from "../api";
import { contain, type Fit } from "../geometry";
import { studio } from "../state";
import type { Stage } from "./stage";

type Of = "edited" | "source" | "difference";

/** The run's frame that is nearest to a frame of the clip. */
export function nearest(frames: readonly number[], frame: number): number {
  return frames.reduce((best, n) => (Math.abs(n - frame) < Math.abs(best - frame) ? n : best), frames[0] ?? 0);
}

/** What the pixels of a difference picture are: it is amplified, and cut off at white. */
export const differenceWords = ({ difference_gain: gain }: Pick<Run, "difference_gain">): string => `Difference × ${gain}`;

export class Compare {
  private readonly shown = new Map<Of, ImageBitmap>();
  private of = "";

  constructor(private readonly stage: Stage) {}

  draw(context: CanvasRenderingContext2D, size: { width: number; height: number }, run: Run): void {
    if (this.of !== run.name) this.shown.clear();
    this.of = run.name;
    const aspect = run.width && run.height ? run.width / run.height : 1;
    const { view } = studio.now;
    if (view === "side") this.drawSides(context, size, run, aspect);
    else {
      const fit = contain(size, aspect, 12);
      this.stage.fit = fit;
      if (view === "difference") this.drawDifference(context, run, fit);
      else this.drawSlider(context, run, fit);
    }
  }

  private drawSides(context: CanvasRenderingContext2D, size: { width: number; height: number }, run: Run, aspect: number): void {
    const half = { width: size.width / 2, height: size.height };
    const fit = contain(half, aspect, 10);
    const right = { ...fit, left: fit.left + half.width };
    this.stage.fit = fit;
    this.stage.drawPicture(context, this.picture(run, "source"), fit);
    this.stage.drawPicture(context, this.picture(run, "edited"), right);
    caption(context, "Source", fit.left + 8, fit.top + 8, "left");
    caption(context, "Edited", right.left + 8, right.top + 8, "left");
  }

  private drawDifference(context: CanvasRenderingContext2D, run: Run, fit: Fit): void {
    this.stage.drawPicture(context, this.picture(run, "difference"), fit);
    caption(context, differenceWords(run), fit.left + 8, fit.top + 8, "left");
  }

  private drawSlider(context: CanvasRenderingContext2D, run: Run, fit: Fit): void {
    const at = fit.left + this.stage.slider * fit.width;
    this.stage.drawPicture(context, this.picture(run, "edited"), fit);
    context.save();
    context.beginPath();
    context.rect(fit.left, fit.top, at - fit.left, fit.height);
    context.clip();
    this.stage.drawPicture(context, this.picture(run, "source"), fit);
    context.restore();
    context.fillStyle = "rgba(0, 0, 0, .5)";
    context.fillRect(at - 2, fit.top, 4, fit.height);
    context.fillStyle = "#fff";
    context.fillRect(at - 1, fit.top, 2, fit.height);
    grip(context, at, fit.top + fit.height / 2);
    if (this.stage.slider > 0.16) caption(context, "Source", fit.left + 8, fit.top + 8, "left");
    if (this.stage.slider < 0.84) caption(context, "Edited", fit.left + fit.width - 8, fit.top + 8, "right");
  }

  private picture(run: Run, of: Of): ImageBitmap | null {
    const { frame, playing } = studio.now;
    const n = nearest(run.frames, frame);
    const picture = this.stage.pictures.get(api.runFrame(run, n, of));
    if (picture) this.shown.set(of, picture);
    if (playing) for (const later of run.frames.filter((f) => f > n).slice(0, 4)) this.stage.pictures.get(api.runFrame(run, later, of));
    return picture ?? this.shown.get(of) ?? null;
  }
}

function grip(context: CanvasRenderingContext2D, x: number, y: number): void {
  context.beginPath();
  context.arc(x, y, 13, 0, 2 * Math.PI);
  context.fillStyle = "#fff";
  context.fill();
  context.lineWidth = 1;
  context.strokeStyle = "rgba(0, 0, 0, .45)";
  context.stroke();
  context.beginPath();
  for (const sign of [-1, 1]) {
    context.moveTo(x + sign * 3.5, y - 4);
    context.lineTo(x + sign * 7.5, y);
    context.lineTo(x + sign * 3.5, y + 4);
  }
  context.lineWidth = 1.75;
  context.strokeStyle = "#23272e";
  context.stroke();
}

function caption(context: CanvasRenderingContext2D, text: string, x: number, y: number, align: "left" | "right"): void {
  context.font = "600 11px system-ui, sans-serif";
  const width = context.measureText(text).width + 14;
  const left = align === "left" ? x : x - width;
  context.fillStyle = "rgba(15, 17, 20, .72)";
  context.beginPath();
  context.roundRect(left, y, width, 20, 4);
  context.fill();
  context.fillStyle = "#fff";
  context.textBaseline = "middle";
  context.fillText(text, left + 7, y + 10.5);
}
