// Streams shared by all tabs of the browser: one tab reads, all hear it, and each gets every frame once and in order.
import { ApiError } from "../client/errors";
import type { Follow, Link, Read, StreamHooks } from "../client/stream";
import type { PlacedEvent } from "../types/api";
import { Channels, type Refused } from "./channels";

/** What tabs say to each other. */
export type Message =
  | { kind: "want"; tab: string; place: Follow }
  | { kind: "leave"; tab: string; place: Follow }
  | { kind: "lead" }
  | { kind: "link"; key: string; link: Link }
  /** What lies directly behind `after`; null: from the start of the turn. */
  | { kind: "frames"; key: string; after: string | null; frames: PlacedEvent[] }
  | { kind: "end"; key: string; after: string | null; refused: Refused | null }
  | { kind: "began"; conversationId: string; turnId: string };

/** Reaches all other tabs. */
export interface Port {
  post: (message: Message) => void;
  listen: (listener: (message: Message) => void) => void;
}

/** How long a tab waits for the one that leads before it reads for itself. */
export const PATIENCE_MS = 3_000;

export const keyOf = (place: Follow): string => `${place.conversationId} ${place.turnId ?? ""}`;

interface Wish {
  readonly place: Follow;
  readonly hooks: StreamHooks;
  readonly inbox: PlacedEvent[];
  held: string | undefined;
  answered: boolean;
  /** Something was missed, and it is asked for already. */
  behind: boolean;
  over: boolean;
  refused: Refused | null;
  wake: () => void;
}

export class Feed {
  readonly #wishes = new Set<Wish>();
  readonly #began = new Set<(conversationId: string, turnId: string) => void>();
  #channels: Channels | null = null;

  constructor(
    private readonly tab: string,
    private readonly port: Port,
    private readonly source: Read,
    private readonly soon: (work: () => void) => void,
    private readonly patienceMs = PATIENCE_MS,
  ) {
    port.listen((message) => this.#hear(message));
  }

  /** From now on this tab reads for all, until the signal. */
  lead(signal: AbortSignal): void {
    const channels = new Channels((message) => this.#say(message), this.source, this.soon);
    this.#channels = channels;
    signal.addEventListener("abort", () => {
      channels.close();
      this.#channels = null;
    });
    this.#say({ kind: "lead" });
  }

  /** Asks anew for what is read here, from where it stands. */
  again(): void {
    for (const wish of this.#wishes) this.#want(wish);
  }

  /** Tells the other tabs of a turn that was begun here. */
  tell(conversationId: string, turnId: string): void {
    this.port.post({ kind: "began", conversationId, turnId });
  }

  /** Calls when a turn was begun in another tab. */
  onBegan(listener: (conversationId: string, turnId: string) => void): () => void {
    this.#began.add(listener);
    return () => this.#began.delete(listener);
  }

  readonly follow: Read = (place, signal, hooks = {}) => this.#follow(place, signal, hooks);

  async *#follow(
    place: Follow,
    signal: AbortSignal,
    hooks: StreamHooks,
  ): AsyncGenerator<PlacedEvent, void, undefined> {
    const wish: Wish = {
      place,
      hooks,
      inbox: [],
      held: place.after,
      answered: false,
      behind: false,
      over: false,
      refused: null,
      wake: () => undefined,
    };
    this.#wishes.add(wish);
    const leave = () => wish.wake();
    signal.addEventListener("abort", leave);
    try {
      this.#want(wish);
      while (!signal.aborted) {
        yield* wish.inbox.splice(0);
        if (wish.over) break;
        if (wish.inbox.length > 0) continue;
        if (!(await this.#news(wish))) {
          // Nobody leads: the tab that does is asleep, or about to be closed.
          this.#wishes.delete(wish);
          yield* this.source(wish.held ? { ...place, after: wish.held } : place, signal, hooks);
          return;
        }
      }
      if (wish.refused) throw errorOf(wish.refused);
    } finally {
      signal.removeEventListener("abort", leave);
      this.#wishes.delete(wish);
      const shared = [...this.#wishes].some((other) => keyOf(other.place) === keyOf(place));
      if (!shared) this.#say({ kind: "leave", tab: this.tab, place });
    }
    hooks.onLink?.("ended");
  }

  /** False where nobody has answered for long. */
  #news(wish: Wish): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = wish.answered ? null : setTimeout(() => resolve(false), this.patienceMs);
      wish.wake = () => {
        if (timer !== null) clearTimeout(timer);
        resolve(true);
      };
    });
  }

  #want(wish: Wish): void {
    const place = wish.held ? { ...wish.place, after: wish.held } : wish.place;
    this.#say({ kind: "want", tab: this.tab, place });
  }

  /** To all tabs, this one among them. */
  #say(message: Message): void {
    this.port.post(message);
    this.#hear(message);
  }

  #hear(message: Message): void {
    switch (message.kind) {
      case "want":
        this.#channels?.want(message.tab, message.place);
        return;
      case "leave":
        this.#channels?.leave(message.tab, message.place);
        return;
      case "lead":
        this.again();
        return;
      case "began":
        for (const listener of this.#began) listener(message.conversationId, message.turnId);
        return;
      default:
        for (const wish of this.#wishes) {
          if (keyOf(wish.place) === message.key && !told(wish, message)) this.#want(wish);
        }
    }
  }
}

/** False where something was missed that must be asked for. */
function told(wish: Wish, message: Extract<Message, { key: string }>): boolean {
  wish.answered = true;
  if (message.kind === "link") {
    if (message.link !== "ended") wish.hooks.onLink?.(message.link);
  } else if (!fits(wish, message.after)) {
    if (wish.behind) return true;
    wish.behind = true;
    return false;
  } else {
    wish.behind = false;
    if (message.kind === "end") {
      wish.over = true;
      wish.refused = message.refused;
    } else {
      for (const frame of message.frames) {
        if (wish.held !== undefined && frame.id <= wish.held) continue;
        wish.held = frame.id;
        wish.inbox.push(frame);
      }
    }
  }
  wish.wake();
  return true;
}

/** Whether nothing lies between what the wish holds and what was said. */
const fits = (wish: Wish, after: string | null): boolean =>
  after === null || (wish.held !== undefined && after <= wish.held);

const errorOf = (refused: Refused) =>
  refused.status === 0
    ? new Error(refused.message)
    : new ApiError(refused.status, refused.code, refused.message, refused.retryAfterS, refused.body);
