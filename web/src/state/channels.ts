// What the tab that leads reads for all tabs: a channel a turn, which keeps its frames for who comes later.
import { ApiError } from "../client/errors";
import { isAfter } from "../client/place";
import type { Follow, Link, Read } from "../client/stream";
import type { PlacedEvent } from "../types/api";
import { keyOf, type Message } from "./feed";

/** An error as it goes from tab to tab. */
export interface Refused {
  status: number;
  code: string;
  message: string;
  retryAfterS: number | null;
  body: unknown;
}

interface Channel {
  readonly place: Follow;
  /** Behind what the first of `frames` lies; null: the start of the turn. */
  readonly from: string | null;
  readonly frames: PlacedEvent[];
  readonly tabs: Set<string>;
  readonly over: AbortController;
  link: Link;
  /** How many frames were told. */
  told: number;
}

export class Channels {
  readonly #open = new Map<string, Channel>();

  /** `say` tells all tabs, or this one alone: what nobody else reads need not be written out for others. */
  constructor(
    private readonly tab: string,
    private readonly say: (message: Message, others: boolean) => void,
    private readonly source: Read,
    private readonly soon: (work: () => void) => void,
  ) {}

  want(tab: string, place: Follow): void {
    const key = keyOf(place);
    const known = this.#open.get(key);
    const after = place.after ?? null;
    if (known && (known.from === null || (after !== null && !isAfter(known.from, after)))) {
      known.tabs.add(tab);
      this.#say(known, { kind: "link", key, link: known.link });
      // Together with what was to be told next; who has it already passes over it.
      const frames = known.frames.filter((frame) => isAfter(frame.id, after));
      if (frames.length > 0) this.#say(known, { kind: "frames", key, after, frames });
      return;
    }
    known?.over.abort();
    const channel: Channel = {
      place,
      from: after,
      frames: [],
      tabs: new Set([...(known?.tabs ?? []), tab]),
      over: new AbortController(),
      link: "connecting",
      told: 0,
    };
    this.#open.set(key, channel);
    this.#say(channel, { kind: "link", key, link: channel.link });
    void this.#read(key, channel);
  }

  leave(tab: string, place: Follow): void {
    const key = keyOf(place);
    const known = this.#open.get(key);
    if (!known?.tabs.delete(tab) || known.tabs.size > 0) return;
    known.over.abort();
    this.#open.delete(key);
  }

  close(): void {
    for (const channel of this.#open.values()) channel.over.abort();
    this.#open.clear();
  }

  async #read(key: string, channel: Channel): Promise<void> {
    const onLink = (link: Link) => {
      channel.link = link;
      if (link !== "ended" && !channel.over.signal.aborted) this.#say(channel, { kind: "link", key, link });
    };
    let refused: Refused | null = null;
    try {
      for await (const frame of this.source(channel.place, channel.over.signal, { onLink })) {
        channel.frames.push(frame);
        // Frames that arrive together are told together.
        if (channel.told === channel.frames.length - 1) this.soon(() => this.#tell(key, channel));
      }
    } catch (error) {
      refused = refusedOf(error);
    }
    if (channel.over.signal.aborted) return;
    this.#tell(key, channel);
    this.#open.delete(key);
    this.#say(channel, { kind: "end", key, after: lastOf(channel, channel.frames.length), refused });
  }

  #tell(key: string, channel: Channel): void {
    if (channel.over.signal.aborted || channel.told === channel.frames.length) return;
    const frames = channel.frames.slice(channel.told);
    const after = lastOf(channel, channel.told);
    channel.told = channel.frames.length;
    this.#say(channel, { kind: "frames", key, after, frames });
  }

  #say(channel: Channel, message: Message): void {
    this.say(message, [...channel.tabs].some((tab) => tab !== this.tab));
  }
}

/** The id of the last of the first `count` frames. */
const lastOf = (channel: Channel, count: number): string | null => channel.frames[count - 1]?.id ?? channel.from;

function refusedOf(error: unknown): Refused {
  const message = error instanceof Error ? error.message : "Something went wrong; reload the page.";
  return error instanceof ApiError
    ? { status: error.status, code: error.code, message, retryAfterS: error.retryAfterS, body: error.body }
    : { status: 0, code: "", message, retryAfterS: null, body: null };
}
