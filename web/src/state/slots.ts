// A few connections for many readers: who has had one for a while hands it over when others wait in line.

/** A browser opens at most six connections to a server over HTTP/1.1; the others are left to requests. */
export const MOST_OPEN = 3;
export const TURN_MS = 1_500;

export interface Slot {
  /** Aborted when it is somebody else's turn. */
  readonly signal: AbortSignal;
  give: () => void;
}

interface Held {
  readonly since: number;
  readonly over: AbortController;
}

export class Slots {
  readonly #held = new Set<Held>();
  readonly #line: ((slot: Slot | null) => void)[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(
    private readonly most = MOST_OPEN,
    private readonly now: () => number = Date.now,
  ) {}

  /** A slot as soon as one is free; null where the signal was first. */
  take(signal: AbortSignal): Promise<Slot | null> {
    if (signal.aborted) return Promise.resolve(null);
    if (this.#held.size < this.most) return Promise.resolve(this.#grant());
    return new Promise((resolve) => {
      const waiter = (slot: Slot | null) => {
        signal.removeEventListener("abort", leave);
        resolve(slot);
      };
      const leave = () => {
        this.#line.splice(this.#line.indexOf(waiter), 1);
        resolve(null);
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#line.push(waiter);
      this.#press();
    });
  }

  #grant(): Slot {
    const held: Held = { since: this.now(), over: new AbortController() };
    this.#held.add(held);
    return {
      signal: held.over.signal,
      give: () => {
        if (!this.#held.delete(held)) return;
        this.#line.shift()?.(this.#grant());
        this.#press();
      },
    };
  }

  /** Asks the longest holder to hand over, now or when its time is up. */
  #press(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const [oldest] = [...this.#held].filter((one) => !one.over.signal.aborted);
    if (this.#line.length === 0 || !oldest) return;
    const waits = () => {
      this.#timer = null;
      oldest.over.abort();
    };
    this.#timer = setTimeout(waits, Math.max(0, oldest.since + TURN_MS - this.now()));
  }
}
