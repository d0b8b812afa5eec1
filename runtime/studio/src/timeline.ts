/** The timeline: a ruler with the playhead, and a lane for each region with keyframes and doubts. */

import type { Clip } from "./api";
import { h } from "./dom";
import { clamp } from "./geometry";
import { perFrame } from "./pace";
import { colourOf, studio } from "./state";
import { isUsed, usedWords, type Used } from "./used_frames";

const GUTTER = 104;
const RULER = 28;
const LANE = 20;
const END = 14;

/** Distances between labelled frames of the ruler. */
const STEPS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000, 10000];

/** The least step whose labels do not touch. */
export function rulerStep(frames: number, width: number, label = 42): number {
  return STEPS.find((step) => (step / Math.max(1, frames)) * width >= label) ?? frames;
}

/** Where a frame's middle is, in pixels from the left of the lanes. */
export const frameX = (frame: number, frames: number, width: number): number => ((frame + 0.5) / Math.max(1, frames)) * width;

export const frameAtX = (x: number, frames: number, width: number): number =>
  clamp(Math.floor((x / width) * frames), 0, Math.max(0, frames - 1));

/** The nearest keyframe before or after a frame. */
export function neighbour(keyframes: readonly number[], frame: number, direction: 1 | -1): number | null {
  const candidates = keyframes.filter((key) => (key - frame) * direction > 0);
  return candidates.length ? (direction > 0 ? Math.min(...candidates) : Math.max(...candidates)) : null;
}

/** Spans of frames that are marked as used: each by itself where there is room between them. */
export function usedSpans([first, last, step]: Used, one: number): [number, number][] {
  if (step <= 1 || one < 3) return [[first, last]];
  const spans: [number, number][] = [];
  for (let n = first; n <= last; n += step) spans.push([n, n]);
  return spans;
}

export class Timeline {
  private readonly canvas: HTMLCanvasElement;
  private readonly scroll: HTMLElement;
  private readonly nextFrame = perFrame<void>(() => this.draw());

  constructor(parent: HTMLElement, private readonly seek: (frame: number) => void) {
    this.canvas = h("canvas", {});
    this.scroll = h("div", {
      class: "timeline", tabindex: 0, role: "slider", "aria-label": "Playhead", "aria-valuemin": 0,
    }, this.canvas);
    parent.append(this.scroll);
    const move = perFrame((event: PointerEvent) => this.seekTo(event));
    let down = false;
    this.scroll.addEventListener("pointerdown", (event) => {
      const row = this.rowAt(event);
      if (row && this.local(event)[0] < GUTTER) return studio.set({ region: row });
      down = true;
      this.scroll.setPointerCapture(event.pointerId);
      this.seekTo(event);
    });
    this.scroll.addEventListener("pointermove", (event) => down && move(event));
    this.scroll.addEventListener("pointerup", () => (down = false));
    this.scroll.addEventListener("pointercancel", () => (down = false));
    this.scroll.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.redraw()).observe(this.scroll);
    studio.watch(["clip", "frame", "written", "regions", "region", "doubtful"], () => this.redraw());
  }

  /** Draw at the next animation frame. */
  redraw(): void {
    this.nextFrame();
  }

  private local(event: PointerEvent): [number, number] {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private rowAt(event: PointerEvent): string | null {
    const row = Math.floor((this.local(event)[1] - RULER) / LANE);
    return studio.now.written[row]?.name ?? null;
  }

  private seekTo(event: PointerEvent): void {
    const { clip } = studio.now;
    if (clip) this.seek(frameAtX(this.local(event)[0] - GUTTER, clip.frames, this.canvas.clientWidth - GUTTER - END));
  }

  private key(event: KeyboardEvent): void {
    const { frame, clip } = studio.now;
    const last = (clip?.frames ?? 1) - 1;
    const by = event.shiftKey ? 10 : 1;
    const targets: Record<string, number> = {
      ArrowLeft: frame - by, ArrowDown: frame - by, ArrowRight: frame + by, ArrowUp: frame + by,
      PageUp: frame + 10, PageDown: frame - 10, Home: 0, End: last,
    };
    const target = targets[event.key];
    if (target === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.seek(clamp(target, 0, last));
  }

  private draw(): void {
    const { clip, frame, written, region } = studio.now;
    const width = this.scroll.clientWidth;
    const height = Math.max(this.scroll.clientHeight, RULER + written.length * LANE + 4);
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const context = this.canvas.getContext("2d")!;
    context.scale(ratio, ratio);
    const style = getComputedStyle(this.scroll);
    const ink = (name: string) => style.getPropertyValue(name).trim();
    if (!clip) return;
    this.scroll.setAttribute("aria-valuemax", String(clip.frames - 1));
    this.scroll.setAttribute("aria-valuenow", String(frame));
    this.scroll.setAttribute("aria-valuetext", `Frame ${frame} of ${clip.frames}${isUsed(clip.used, frame) ? "" : ", left out by the spec"}`);
    this.scroll.title = `The spec uses the frames ${usedWords(clip.used)}`;
    const lanes = width - GUTTER - END;
    const x = (n: number) => GUTTER + frameX(n, clip.frames, lanes);
    written.forEach((each, i) => this.lane(context, each.name, RULER + i * LANE, width, each.name === region, ink));
    this.ruler(context, clip.frames, lanes, x, ink);
    this.unused(context, clip, x, lanes / clip.frames, height, ink);
    written.forEach((each, i) => this.marks(context, each.name, each.keyframes, RULER + i * LANE, x, lanes / clip.frames, ink));
    this.playhead(context, x(frame), lanes / clip.frames, height, ink);
  }

  private lane(context: CanvasRenderingContext2D, name: string, top: number, width: number, chosen: boolean, ink: (n: string) => string): void {
    if (chosen) {
      context.fillStyle = ink("--raised");
      context.fillRect(0, top, width, LANE);
    }
    context.fillStyle = ink("--line");
    context.fillRect(0, top + LANE - 1, width, 1);
    context.fillStyle = colourOf(name);
    context.beginPath();
    context.roundRect(10, top + 6, 8, 8, 2);
    context.fill();
    context.fillStyle = ink(chosen ? "--text" : "--muted");
    context.font = `${chosen ? 600 : 400} 12px ${ink("--sans")}`;
    context.textBaseline = "middle";
    context.fillText(shortened(context, name, GUTTER - 34), 25, top + LANE / 2);
  }

  private ruler(context: CanvasRenderingContext2D, frames: number, lanes: number, x: (n: number) => number, ink: (n: string) => string): void {
    context.fillStyle = ink("--line");
    context.fillRect(0, RULER - 1, GUTTER + lanes + END, 1);
    const step = rulerStep(frames, lanes);
    const minor = lanes / frames > 5 ? 1 : Math.max(1, Math.round(step / 5));
    context.font = `11px ${ink("--sans")}`;
    context.textBaseline = "middle";
    context.textAlign = "center";
    for (let n = 0; n < frames; n += minor) {
      const major = n % step === 0;
      context.fillStyle = ink("--line-strong");
      context.fillRect(Math.round(x(n)), RULER - (major ? 6 : 4), 1, major ? 6 : 4);
      context.fillStyle = ink("--muted");
      if (major) context.fillText(String(n), x(n), 9);
    }
    context.textAlign = "left";
  }

  /** Frames that the spec leaves out are veiled; those that it uses are marked below the ruler. */
  private unused(context: CanvasRenderingContext2D, { frames, used }: Clip, x: (n: number) => number, one: number, height: number, ink: (n: string) => string): void {
    const [first, last, step] = used;
    for (const [from, to] of usedSpans(used, one)) {
      context.fillStyle = ink("--used");
      context.fillRect(x(from) - one / 2, RULER - 3, (to - from + 1) * one, 3);
    }
    context.fillStyle = ink("--veil");
    const veil = (from: number, to: number) => to > from && context.fillRect(x(from) - one / 2, 0, (to - from) * one, height);
    veil(0, first);
    veil(last + 1, frames);
    if (one >= 3) for (let n = first; n < last; n += step) veil(n + 1, Math.min(n + step, last));
  }

  private marks(context: CanvasRenderingContext2D, name: string, keyframes: readonly number[], top: number, x: (n: number) => number, one: number, ink: (n: string) => string): void {
    const middle = top + LANE / 2;
    const colour = colourOf(name);
    const { doubtful } = studio.now;
    context.fillStyle = ink("--warning");
    for (const n of doubtful[name] ?? []) context.fillRect(x(n) - one / 2, top + LANE - 5, Math.max(2, one - 1), 3);
    if (keyframes.length > 1) {
      context.fillStyle = colour;
      context.globalAlpha = 0.45;
      context.fillRect(x(keyframes[0]!), middle - 1, x(keyframes.at(-1)!) - x(keyframes[0]!), 2);
      context.globalAlpha = 1;
    }
    for (const n of keyframes) {
      context.beginPath();
      context.moveTo(x(n), middle - 5);
      context.lineTo(x(n) + 5, middle);
      context.lineTo(x(n), middle + 5);
      context.lineTo(x(n) - 5, middle);
      context.closePath();
      context.fillStyle = colour;
      context.fill();
      context.lineWidth = 1;
      context.strokeStyle = ink("--panel");
      context.stroke();
    }
  }

  private playhead(context: CanvasRenderingContext2D, x: number, one: number, height: number, ink: (n: string) => string): void {
    context.fillStyle = ink("--accent");
    context.globalAlpha = 0.12;
    context.fillRect(x - one / 2, RULER, one, height - RULER);
    context.globalAlpha = 1;
    context.fillRect(Math.round(x) - 0.75, 20, 1.5, height);
    context.beginPath();
    context.moveTo(x - 6, 16);
    context.lineTo(x + 6, 16);
    context.lineTo(x + 6, 21);
    context.lineTo(x, 27);
    context.lineTo(x - 6, 21);
    context.closePath();
    context.fill();
  }
}

function shortened(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  while (text.length > 1 && context.measureText(`${text}…`).width > width) text = text.slice(0, -1);
  return `${text}…`;
}
