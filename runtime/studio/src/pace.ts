/** How often things happen: once an animation frame, one request at a time, after a pause. */

/** Call `work` at most once an animation frame, with the newest value. */
export function perFrame<T>(
  work: (value: T) => void,
  next: (run: () => void) => void = (run) => requestAnimationFrame(run),
): (value: T) => void {
  let waiting: { value: T } | null = null;
  return (value) => {
    const booked = waiting !== null;
    waiting = { value };
    if (booked) return;
    next(() => {
      const newest = waiting!;
      waiting = null;
      work(newest.value);
    });
  };
}

/**
 * One request under way at a time. While it is, a value waits until a later one `replaces` it, which
 * any does unless told otherwise; those replaced are dropped. The promise settles when everything
 * asked so far has been answered or dropped.
 */
export class Latest<T> {
  private readonly waiting: T[] = [];
  private running: Promise<void> | null = null;

  constructor(
    private readonly work: (value: T) => Promise<void>,
    private readonly replaces: (value: T, waiting: T) => boolean = () => true,
  ) {}

  ask(value: T): Promise<void> {
    const last = this.waiting.at(-1);
    if (last !== undefined && this.replaces(value, last)) this.waiting.pop();
    this.waiting.push(value);
    this.running ??= this.drain();
    return this.running;
  }

  /** Settles when nothing is under way. */
  idle(): Promise<void> {
    return this.running ?? Promise.resolve();
  }

  private async drain(): Promise<void> {
    try {
      while (this.waiting.length) await this.work(this.waiting.shift()!);
    } finally {
      this.running = null;
    }
  }
}

/** A counter that tells whether an answer is still wanted. */
export class Turn {
  private current = 0;

  /** Begin a turn; the function says whether no later one has begun. */
  begin(): () => boolean {
    const mine = ++this.current;
    return () => mine === this.current;
  }
}

/** Call `work` when no call has come for `milliseconds`. */
export function debounced<A extends unknown[]>(
  work: (...args: A) => void,
  milliseconds: number,
): (...args: A) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...args), milliseconds);
  };
}
