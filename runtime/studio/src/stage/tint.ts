/** A region's mask as it is drawn over the picture: a veil of its colour and a clear edge. */

const EDGE = 1.5;

/** How dense a region's veil is: the chosen one's, others', and that of what fills most of the frame. */
export const VEIL = { chosen: 0.4, other: 0.26, wide: 0.1 };

const AROUND = Array.from({ length: 12 }, (_, i) => [Math.cos((i * Math.PI) / 6) * EDGE, Math.sin((i * Math.PI) / 6) * EDGE] as const);

function canvas(width: number, height: number): [OffscreenCanvas, OffscreenCanvasRenderingContext2D] {
  const made = new OffscreenCanvas(Math.max(1, width), Math.max(1, height));
  return [made, made.getContext("2d")!];
}

function coloured(mask: ImageBitmap, width: number, height: number, colour: string): OffscreenCanvas {
  const [veil, context] = canvas(width, height);
  context.drawImage(mask, 0, 0, width, height);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, width, height);
  return veil;
}

/** Draws masks, and keeps what it drew for as long as size and masks stay the same. */
export class Tints {
  private readonly kept = new Map<string, OffscreenCanvas>();

  get(address: string, mask: ImageBitmap, width: number, height: number, colour: string, veil: number): OffscreenCanvas {
    const key = `${address} ${width}x${height} ${colour} ${veil}`;
    let tint = this.kept.get(key);
    if (!tint) {
      tint = tinted(coloured(mask, width, height, colour), veil);
      if (this.kept.size > 96) this.kept.delete(this.kept.keys().next().value!);
      this.kept.set(key, tint);
    }
    return tint;
  }
}

function tinted(area: OffscreenCanvas, veil: number): OffscreenCanvas {
  const [edge, edgeContext] = canvas(area.width, area.height);
  for (const [dx, dy] of AROUND) edgeContext.drawImage(area, dx, dy);
  edgeContext.globalCompositeOperation = "destination-out";
  edgeContext.drawImage(area, 0, 0);
  const [tint, context] = canvas(area.width, area.height);
  context.globalAlpha = veil;
  context.drawImage(area, 0, 0);
  context.globalAlpha = veil === VEIL.chosen ? 1 : 0.75;
  context.drawImage(edge, 0, 0);
  return tint;
}
