/** Values that parts of the page share, and who wants to know when they change. */

export class Store<T extends object> {
  private readonly listeners: { keys: readonly (keyof T)[]; call: (value: T) => void }[] = [];

  constructor(private value: T) {}

  get now(): Readonly<T> {
    return this.value;
  }

  /** Change some values; listeners of those that differ are called once. */
  set(change: Partial<T>): void {
    const before = this.value;
    this.value = { ...before, ...change };
    const changed = (Object.keys(change) as (keyof T)[]).filter((k) => before[k] !== this.value[k]);
    if (!changed.length) return;
    for (const { keys, call } of this.listeners)
      if (keys.some((key) => changed.includes(key))) call(this.value);
  }

  /** Call now, and after each change of one of these values. */
  watch(keys: readonly (keyof T)[], call: (value: T) => void): void {
    this.listeners.push({ keys, call });
    call(this.value);
  }
}
