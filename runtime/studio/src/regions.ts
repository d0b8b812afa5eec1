/**
 * The regions of the text, frame by frame, as the server binds them. What was answered about the
 * text stays until it changes, so that playing and stepping through a clip asks for each frame once.
 */

import { api, ApiError, described, type RegionFacts, type Regions } from "./api";
import { notice } from "./notices";
import { debounced, Latest } from "./pace";
import { studio } from "./state";

export interface RegionEvents {
  text(): string;
  /** While a shape is dragged nothing is asked for. */
  busy(): boolean;
  findings(): void;
  /** The part of the frame that is edited. */
  box(box: readonly number[]): void;
}

/** Frames that are asked for ahead of need, at most, and milliseconds between two. */
const MOST = 240;
const PAUSE = 30;

export class RegionReader {
  private readonly answers = new Map<number, Regions>();
  /** The text whose masks are shown. */
  private bound: string | null = null;
  private generation = 0;
  private scanned = -1;
  private readonly asking = new Latest<number>((frame) => this.ask(frame));
  private readonly later = debounced(() => void this.read(), 220);

  constructor(private readonly events: RegionEvents) {
    studio.watch(["frame"], () => studio.now.path && void this.read());
    studio.watch(["variant"], () => studio.now.path && this.changed());
  }

  /** The text, the variant or masks changed: what was answered is about the past. */
  changed(): void {
    this.generation++;
    this.answers.clear();
    this.later();
  }

  /** The same, without a pause. */
  renew(): void {
    this.generation++;
    this.answers.clear();
    void this.read();
  }

  /** Show the regions of the frame at the playhead. */
  async read(): Promise<void> {
    if (this.events.busy()) return;
    const { frame } = studio.now;
    const known = this.answers.get(frame);
    if (known) this.show(known);
    else await this.asking.ask(frame);
  }

  private async ask(frame: number): Promise<void> {
    const mine = this.generation;
    const known = await this.fetch(frame);
    if (mine !== this.generation) return void this.read();
    if (known && (frame === studio.now.frame || studio.now.playing)) this.show(known);
    if (known?.mask) void this.scan(known);
  }

  private async fetch(frame: number): Promise<Regions | null> {
    const mine = this.generation;
    const variant = studio.now.variant === "all" ? null : studio.now.variant;
    try {
      const answer = await api.regions(this.events.text(), frame, variant);
      if (mine !== this.generation) return null;
      this.answers.set(frame, answer);
      this.noteDoubts(answer);
      return answer;
    } catch (error) {
      if (mine !== this.generation) return null;
      if (error instanceof ApiError && error.status === 0) notice(described(error), "error");
      studio.set({ findings: [] });
      this.events.findings();
      return null;
    }
  }

  private show(answer: Regions): void {
    studio.set({ findings: answer.findings });
    const text = this.events.text();
    if (!answer.mask && this.bound === text) studio.set({ regions: [], mask: null }); // a file of it is gone
    if (answer.mask) {
      this.bound = text;
      studio.set({ regions: answer.regions, mask: { key: answer.mask, frame: answer.frame } });
      this.events.box(answer.box);
    }
    this.events.findings();
  }

  private noteDoubts({ frame, regions }: { frame: number; regions: readonly RegionFacts[] }): void {
    const doubtful = { ...studio.now.doubtful };
    for (const { name, doubtful: doubt, lost } of regions) {
      const known = doubtful[name] ?? [];
      const yes = doubt || lost;
      if (known.includes(frame) !== yes)
        doubtful[name] = yes ? [...known, frame].sort((a, b) => a - b) : known.filter((n) => n !== frame);
    }
    studio.set({ doubtful });
  }

  /** Ask for the other used frames while nothing else happens, once a text: for the timeline's marks. */
  private async scan({ regions }: Regions): Promise<void> {
    const { clip } = studio.now;
    const mine = this.generation;
    if (mine === this.scanned || !clip || !regions.some((region) => region.tracked)) return;
    this.scanned = mine;
    studio.set({ doubtful: {} });
    for (const known of this.answers.values()) this.noteDoubts(known);
    const [first, last, step] = clip.used;
    const stride = Math.max(1, step) * Math.max(1, Math.ceil((last - first) / step / MOST));
    for (let frame = first; frame <= last; frame += stride) {
      if (this.answers.has(frame)) continue;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      await this.asking.idle();
      if (mine !== this.generation || !(await this.fetch(frame))) return;
    }
  }
}
