// The feed of this tab: tabs reach each other by a channel of the browser, and a lock says which one leads.
import { follow, type Read } from "../client/stream";
import { newKey } from "../client/key";
import { Feed, type Message, type Port } from "./feed";
import { Candidate } from "./leader";
import { source } from "./source";

export interface Shared {
  read: Read;
  tell: (conversationId: string, turnId: string) => void;
  onBegan: (listener: (conversationId: string, turnId: string) => void) => () => void;
}

/** A task of its own, which comes soon in hidden tabs too, where timers come once a second. */
function soonest(): (work: () => void) => void {
  const { port1, port2 } = new MessageChannel();
  const line: (() => void)[] = [];
  port1.onmessage = () => line.shift()?.();
  return (work) => {
    line.push(work);
    port2.postMessage(null);
  };
}

function channel(name: string): Port {
  const over = new BroadcastChannel(name);
  return {
    post: (message) => over.postMessage(message),
    listen: (listener) => {
      over.onmessage = ({ data }: MessageEvent<Message>) => listener(data);
    },
  };
}

/** Without locks, as on a page without TLS, every tab reads for itself, which is correct, only dearer. */
function shared(): Shared {
  if (typeof BroadcastChannel === "undefined" || !("locks" in navigator)) {
    return { read: follow, tell: () => undefined, onBegan: () => () => undefined };
  }
  const feed: Feed = new Feed(newKey(), channel("polylogue:feed"), source, soonest(), {
    takeOver: () => candidate.takeOver(),
  });
  const candidate = new Candidate("feed", (signal) => feed.lead(signal), navigator.locks);
  const sleep = () => candidate.rest();
  const wake = () => {
    candidate.stand();
    // Nothing was heard meanwhile.
    feed.again();
  };
  // A page that the browser freezes, or keeps for the way back, cannot read for others.
  document.addEventListener("freeze", sleep);
  document.addEventListener("resume", wake);
  globalThis.addEventListener("pagehide", sleep);
  globalThis.addEventListener("pageshow", (event) => event.persisted && wake());
  candidate.stand();
  return {
    read: feed.follow,
    tell: (conversationId, turnId) => feed.tell(conversationId, turnId),
    onBegan: (listener) => feed.onBegan(listener),
  };
}

let made: Shared | null = null;

export function browser(): Shared {
  made ??= shared();
  return made;
}
