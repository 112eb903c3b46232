import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SILENCE_MS, watch } from "./silence";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a watched connection", () => {
  it("is given up when nothing was heard for longer than the server would be silent", () => {
    const watched = watch(new AbortController().signal);
    vi.advanceTimersByTime(SILENCE_MS - 1_000);
    watched.heard();
    vi.advanceTimersByTime(SILENCE_MS);
    expect(watched.signal.aborted).toBe(false);
    vi.advanceTimersByTime(10_000);
    expect(watched.signal.aborted).toBe(true);
    expect(watched.dead()).toBe(true);
  });

  it("is given up at the first look after a sleep", () => {
    let now = 0;
    const watched = watch(new AbortController().signal, () => now);
    now = 3_600_000; // the clock went on, the timers did not
    vi.advanceTimersByTime(5_000);
    expect(watched.dead()).toBe(true);
  });

  it("is looked at as soon as the page is shown again", () => {
    let now = 0;
    const watched = watch(new AbortController().signal, () => now);
    now = SILENCE_MS + 1;
    document.dispatchEvent(new Event("visibilitychange"));
    expect(watched.dead()).toBe(true);
  });

  it("is given up at once when the network goes", () => {
    const watched = watch(new AbortController().signal);
    globalThis.dispatchEvent(new Event("offline"));
    expect(watched.dead()).toBe(true);
  });

  it("is not dead when the reader has left it", () => {
    const outer = new AbortController();
    const watched = watch(outer.signal);
    outer.abort();
    expect(watched.signal.aborted).toBe(true);
    expect(watched.dead()).toBe(false);
  });

  it("is looked at no more once it is done", () => {
    const watched = watch(new AbortController().signal);
    watched.done();
    vi.advanceTimersByTime(10 * SILENCE_MS);
    globalThis.dispatchEvent(new Event("offline"));
    expect(watched.signal.aborted).toBe(false);
  });
});
