// Functions that stay the same from render to render and do what the latest render's do.
import { useLayoutEffect, useState } from "react";

type Call = (...given: unknown[]) => unknown;

class Latest<T extends object> {
  readonly steady: T;
  #made: T;

  constructor(made: T) {
    this.#made = made;
    const call = (name: string, given: unknown[]) => (this.#made as Record<string, Call>)[name]?.(...given);
    const names = Object.keys(made);
    this.steady = Object.fromEntries(names.map((name) => [name, (...given: unknown[]) => call(name, given)])) as T;
  }

  take(made: T): void {
    this.#made = made;
  }
}

/** Only for event handlers: what they see is as of the last commit. */
export function useLatest<T extends object>(made: T): T {
  const [latest] = useState(() => new Latest(made));
  useLayoutEffect(() => latest.take(made));
  return latest.steady;
}
