/** A mask that is being painted: a canvas of the source frame's aspect, white where the region is. */

import type { Point } from "../geometry";

const LONGEST = 1024;

export class Painting {
  readonly canvas: HTMLCanvasElement;
  private readonly context: CanvasRenderingContext2D;
  private last: Point | null = null;

  constructor(width: number, height: number) {
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    this.canvas = document.createElement("canvas");
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    this.context = this.canvas.getContext("2d")!;
    this.context.lineCap = this.context.lineJoin = "round";
    this.context.imageSmoothingEnabled = false;
  }

  /** Begin from a mask that exists. */
  from(mask: CanvasImageSource): void {
    this.context.drawImage(mask, 0, 0, this.canvas.width, this.canvas.height);
  }

  /** The mask as it is now. */
  copy(): Painting {
    const copy = new Painting(this.canvas.width, this.canvas.height);
    copy.from(this.canvas);
    return copy;
  }

  /** Go on to a place. `size` is the brush's diameter as a fraction of the frame's height. */
  stroke([x, y]: Point, size: number, erase: boolean): void {
    const place: Point = [x * this.canvas.width, y * this.canvas.height];
    const from = this.last ?? place;
    this.context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    this.context.strokeStyle = "#fff";
    this.context.lineWidth = Math.max(1, size * this.canvas.height);
    this.context.beginPath();
    this.context.moveTo(...from);
    this.context.lineTo(...place);
    this.context.stroke();
    this.last = place;
  }

  lift(): void {
    this.last = null;
  }

  /** The mask in a colour. */
  in(colour: string): OffscreenCanvas {
    const { width, height } = this.canvas;
    const tint = new OffscreenCanvas(width, height);
    const context = tint.getContext("2d")!;
    context.drawImage(this.canvas, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = colour;
    context.fillRect(0, 0, width, height);
    return tint;
  }

  /** The mask as PNG, base64: white on black. */
  png(): string {
    const flat = document.createElement("canvas");
    flat.width = this.canvas.width;
    flat.height = this.canvas.height;
    const context = flat.getContext("2d")!;
    context.fillStyle = "#000";
    context.fillRect(0, 0, flat.width, flat.height);
    context.drawImage(this.canvas, 0, 0);
    return flat.toDataURL("image/png").split(",")[1]!;
  }
}
