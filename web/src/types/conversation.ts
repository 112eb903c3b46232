// A stored conversation as the API gives it.

export type MediaKind = "image" | "audio" | "video";

export interface MediaRendition {
  name: string;
  url: string;
  content_type: string;
  size_bytes: number;
  width?: number | null;
  height?: number | null;
}

/** A stored medium of a message: `url` is made for this answer and may expire, `media_id` is for ever. */
export interface MediaAttachment {
  url: string;
  type: MediaKind;
  format: string;
  size_bytes?: number | null;
  content_type?: string | null;
  media_id?: string;
  width?: number | null;
  height?: number | null;
  duration_ms?: number | null;
  status?: string | null;
  renditions?: MediaRendition[] | null;
}

export interface Usage {
  prompt_tokens?: number;
  completion_tokens?: number;
  total_tokens?: number;
  reasoning_tokens?: number;
  estimated?: boolean;
}

export interface Picture {
  key: string;
  url: string;
  content_type: string;
  size_bytes: number;
}

/** A medium that there is not, or no longer, and why in words. */
export interface MissingMedium {
  media_id: string;
  type: MediaKind;
  status: string;
  reason: string | null;
  message: string | null;
}

/** A medium whose outcome the tables have not heard of yet. */
export interface PendingMedium {
  media_id: string;
  type: MediaKind;
  status: string;
}

export interface ConversationMessage {
  message_id: string;
  role: "user" | "assistant";
  model_id: string | null;
  content: string;
  reasoning: string | null;
  media_urls?: MediaAttachment[] | null;
  missing_media?: MissingMedium[];
  pending_media?: PendingMedium[];
  attachments?: Picture[] | null;
  status: string;
  finish_reason: string | null;
  error_message: string | null;
  retryable: boolean | null;
  usage: Usage | null;
  cost_usd_micros: number | null;
  time_to_first_token_ms: number | null;
  duration_ms: number | null;
  created_at: string;
  completed_at: string | null;
}

export interface Rating {
  best_response_id?: string | null;
  thumbs?: Record<string, "up" | "down">;
  note?: string | null;
}

export interface ConversationTurn {
  turn_id: string;
  prompt: string;
  system: string | null;
  round: number;
  finished: boolean;
  inherited?: boolean;
  /** The turns before belonged to a conversation that was deleted; `notice` says so. */
  gone?: boolean;
  notice?: string;
  rating?: Rating | null;
  created_at: string | null;
  messages: ConversationMessage[];
}

export interface ConversationSummary {
  conversation_id: string;
  title: string;
  pinned: boolean;
  status: "running" | "idle";
  turn_running: boolean;
  parent_conversation_id?: string | null;
  created_at: string;
  updated_at: string;
}

export interface Conversation extends ConversationSummary {
  turns: ConversationTurn[];
}
