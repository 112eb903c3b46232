// Values outside React that components subscribe to: a change is told once a painted frame, however many came.

export interface Store<T> {
  get: () => T;
  subscribe: (listener: () => void) => () => void;
}

/** Runs `tell` once before the next paint; in a hidden tab, where nothing is painted, soon. */
export type Schedule = (tell: () => void) => void;

export const beforePaint: Schedule = (tell) => {
  if (typeof document === "undefined" || document.visibilityState === "hidden") setTimeout(tell, 100);
  else requestAnimationFrame(tell);
};

export class Cell<T> implements Store<T> {
  #value: T;
  #told = true;
  readonly #listeners = new Set<() => void>();

  constructor(
    value: T,
    private readonly schedule: Schedule = beforePaint,
  ) {
    this.#value = value;
  }

  get = (): T => this.#value;

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    if (!this.#told) return;
    this.#told = false;
    this.schedule(() => {
      this.#told = true;
      for (const listener of [...this.#listeners]) listener();
    });
  }
}
