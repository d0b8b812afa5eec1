/** Painting in the picture: each stroke is stored by itself, and is one step of undo. */

import { api } from "../api";
import type { Point } from "../geometry";
import { masksOf } from "../spec_text";
import { studio, type Studio } from "../state";
import { Painting } from "./brush";
import type { Pictures } from "./pictures";

/** What a stroke made of a mask; its path is its key. */
interface Stored {
  readonly frame: number;
  readonly picture: Painting;
}

/** A mask that is being painted: of a region on a frame. The text names `path`, once it is stored. */
interface Current {
  readonly frame: number;
  readonly region: string;
  /** No region was chosen: the strokes make this one. */
  readonly fresh: boolean;
  readonly picture: Painting;
  path: string | null;
}

export interface PainterActions {
  /** Store a mask and name it in the text; its path, or null if that was refused. */
  paint(png: string, frame: number, region: string): Promise<string | null>;
  /** A name for a region that is painted first. */
  freshName(): string;
}

/** Strokes whose pictures are kept, to be shown until the region has its masks. */
const KEPT = 40;

const paints = (tool: string): boolean => tool === "brush" || tool === "eraser";

export class Painter {
  private current: Current | null = null;
  private readonly strokes = new Map<string, Stored>();
  private waiting: Promise<void> = Promise.resolve();
  private unstored = 0;
  private down = false;

  constructor(
    private readonly pictures: Pictures,
    private readonly actions: PainterActions,
    private readonly redraw: () => void,
  ) {
    studio.watch(["written"], () => this.followText());
  }

  /** The region whose mask is painted at the moment. */
  get region(): string | null {
    return this.current?.region ?? null;
  }

  /** The mask that is painted at the moment. */
  get picture(): Painting | null {
    return this.current?.picture ?? null;
  }

  /** Whether strokes go into the same mask after a change of the page's state. */
  goesOn({ tool, frame, region }: Pick<Studio, "tool" | "frame" | "region">): boolean {
    const { current } = this;
    return current !== null && paints(tool) && frame === current.frame && (region === current.region || (current.fresh && region === null));
  }

  /** Begin a stroke: on what is painted there already, or on the region's mask. */
  begin(): void {
    const { clip, region, frame } = studio.now;
    if (!clip) return;
    this.down = true;
    if (this.current) return;
    const picture = new Painting(clip.width, clip.height);
    const before = region === null ? null : (this.paintedOf(region, frame)?.canvas ?? this.maskOf(region, frame));
    if (before) picture.from(before);
    this.current = { frame, region: region ?? this.actions.freshName(), fresh: region === null, picture, path: null };
  }

  dab(at: Point): void {
    const { brush, tool } = studio.now;
    this.picture?.stroke(at, brush, tool === "eraser");
    this.redraw();
  }

  /** The stroke ends: it is stored after those before it. */
  end(): void {
    const { current } = this;
    this.down = false;
    if (!current) return;
    current.picture.lift();
    const copy = current.picture.copy();
    this.unstored++;
    this.waiting = this.waiting.then(() => this.store(current, copy));
  }

  /** Forget what is not stored. */
  cancel(): void {
    this.down = false;
    this.current = null;
  }

  /** What was painted on a frame and the text names: shown until the region has a mask there. */
  paintedOf(region: string, frame: number): Painting | null {
    for (const path of masksOf(studio.now.written, region)) {
      const stored = this.strokes.get(path);
      if (stored?.frame === frame) return stored.picture;
    }
    return null;
  }

  /** Fetch the mask that a stroke would begin on. */
  prepare(): void {
    const { tool, region, frame } = studio.now;
    if (paints(tool) && region !== null && !this.current) this.maskOf(region, frame);
  }

  private maskOf(region: string, frame: number): ImageBitmap | null {
    const { mask, regions } = studio.now;
    if (mask?.frame !== frame || !regions.some(({ name, empty }) => name === region && !empty)) return null;
    return this.pictures.get(api.mask(mask.key, region, frame, true)) ?? this.pictures.get(api.mask(mask.key, region, frame));
  }

  private async store(current: Current, picture: Painting): Promise<void> {
    const { frame, region } = current;
    const path = await this.actions.paint(picture.png(), frame, region);
    this.unstored--;
    if (path !== null) {
      current.path = path;
      this.strokes.set(path, { frame, picture });
      if (this.strokes.size > KEPT) this.strokes.delete(this.strokes.keys().next().value!);
    }
    this.redraw();
  }

  /** Undo names an earlier mask again: the next stroke begins on that. */
  private followText(): void {
    const { current } = this;
    if (!current || this.unstored || this.down || current.path === null) return;
    if (!masksOf(studio.now.written, current.region).includes(current.path)) this.current = null;
  }
}
