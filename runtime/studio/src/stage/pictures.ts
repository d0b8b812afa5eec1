/** Pictures by address: the newest are kept, each is fetched once. */

import { api } from "../api";

export class Pictures {
  private readonly kept = new Map<string, ImageBitmap | "failed" | Promise<void>>();

  /** `arrived` is called when a picture that was asked for is there, or failed. */
  constructor(
    private readonly most: number,
    private readonly arrived: () => void,
  ) {}

  /** The picture, if it is there; else it is fetched. */
  get(address: string): ImageBitmap | null {
    const kept = this.kept.get(address);
    if (kept instanceof ImageBitmap) {
      this.kept.delete(address);
      this.kept.set(address, kept);
      return kept;
    }
    if (kept === undefined) this.kept.set(address, this.fetch(address));
    return null;
  }

  failed(address: string): boolean {
    return this.kept.get(address) === "failed";
  }

  forget(): void {
    for (const picture of this.kept.values()) if (picture instanceof ImageBitmap) picture.close();
    this.kept.clear();
  }

  private async fetch(address: string): Promise<void> {
    let picture: ImageBitmap | "failed";
    try {
      picture = await api.picture(address);
    } catch {
      picture = "failed";
    }
    this.kept.set(address, picture);
    for (const [old, value] of this.kept) {
      if (this.kept.size <= this.most) break;
      if (value instanceof ImageBitmap) value.close();
      this.kept.delete(old);
    }
    this.arrived();
  }
}
