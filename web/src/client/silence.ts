// Notices a connection that is dead without saying so: nothing was heard for long, or the network went away.

/** The server sends a keepalive every 15 s; twice that and a bit is silence. */
export const SILENCE_MS = 40_000;
const LOOK_EVERY_MS = 5_000;

export interface Watch {
  /** Aborted when the connection should be made anew, or when the reader leaves. */
  readonly signal: AbortSignal;
  /** True when the reader has not left, so that it is the connection that is given up. */
  readonly dead: () => boolean;
  heard: () => void;
  done: () => void;
}

/** Watches one connection. After a sleep the first look finds how long it was: the clock goes on meanwhile. */
export function watch(outer: AbortSignal, now: () => number = Date.now): Watch {
  const over = new AbortController();
  let last = now();
  const giveUp = () => over.abort();
  const look = () => {
    if (now() - last > SILENCE_MS) giveUp();
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  globalThis.addEventListener("offline", giveUp);
  globalThis.document.addEventListener("visibilitychange", look);
  outer.addEventListener("abort", giveUp);
  return {
    signal: over.signal,
    dead: () => over.signal.aborted && !outer.aborted,
    heard: () => {
      last = now();
    },
    done: () => {
      clearInterval(timer);
      globalThis.removeEventListener("offline", giveUp);
      globalThis.document.removeEventListener("visibilitychange", look);
      outer.removeEventListener("abort", giveUp);
    },
  };
}
