// Links by which others read a conversation, and what such a link shows.
import type { Conversation, MediaAttachment } from "../types/conversation";
import { ApiError } from "./errors";
import { json } from "./http";

export interface ShareLink {
  url: string;
}

const of = (conversationId: string) => `/conversations/${encodeURIComponent(conversationId)}/share`;

/** The link that is there; null where there is none. */
export async function linkOf(conversationId: string): Promise<ShareLink | null> {
  try {
    return await json<ShareLink>(of(conversationId));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

export const makeLink = (conversationId: string) => json<ShareLink>(of(conversationId), { method: "POST" });
export const revokeLink = (conversationId: string) => json(of(conversationId), { method: "DELETE" });

interface Shown {
  url: string;
  content?: string | null;
}

/** With the link's own address, which dies with it. */
const addressed = <T extends Shown>(one: T): T => ({ ...one, url: one.content ?? "" });

function shown(medium: MediaAttachment & { content?: string | null }): MediaAttachment {
  const made = addressed({ ...medium, renditions: (medium.renditions ?? []).map(addressed) });
  delete made.media_id; // the owner's; what is asked for by it is not for strangers
  return made;
}

/** What a link shows. */
export async function opened(share: string): Promise<Conversation> {
  const found = await json<Conversation>(`/shared/${encodeURIComponent(share)}`);
  return {
    ...found,
    turns: found.turns.map((turn) => ({
      ...turn,
      messages: turn.messages.map((message) => ({ ...message, media_urls: message.media_urls?.map(shown) ?? null })),
    })),
  };
}
