// The frames of a stream: the table is closed, readers ignore types and fields that they do not know.
import type { MediaKind, MediaRendition, Usage } from "./conversation";

interface Placed {
  id: string;
  conversation_id: string;
  turn_id?: string;
}

interface OfResponse extends Placed {
  turn_id: string;
  model: string;
  response_id: string;
}

export interface TurnFrame extends Placed {
  type: "turn";
  turn_id: string;
  prompt: string;
  models: string[];
}
export interface ConversationFrame extends Placed {
  type: "conversation";
  change: "started" | "renamed" | "pinned" | "shared" | "deleted";
  title?: string;
}
export interface StartFrame extends OfResponse {
  type: "start";
  attempt: number;
}
export interface QueuedFrame extends OfResponse {
  type: "queued";
  position: number;
}
export interface ChunkFrame extends OfResponse {
  type: "chunk";
  content: string;
}
export interface ReasoningFrame extends OfResponse {
  type: "reasoning";
  content: string;
}
export interface NoteFrame extends OfResponse {
  type: "note";
  code: string;
  message: string;
}
export interface MediaPendingFrame extends OfResponse {
  type: "media_pending";
  media_id: string;
  media_type: MediaKind;
  phase: "generating" | "validating" | "uploading";
  format?: string;
  width?: number;
  height?: number;
  size_bytes?: number;
}
export interface MediaFrame extends OfResponse {
  type: "media";
  media_id: string;
  media_type: MediaKind;
  url: string;
  format: string;
  content_type: string;
  size_bytes: number;
  width?: number;
  height?: number;
  duration_ms?: number;
  renditions?: MediaRendition[];
  media_url: string;
  media_format: string;
}
export interface MediaRenditionsFrame extends OfResponse {
  type: "media_renditions";
  media_id: string;
  renditions: MediaRendition[];
}
export interface MediaFailedFrame extends OfResponse {
  type: "media_failed";
  media_id: string;
  media_type: MediaKind;
  reason: string;
  message: string;
}
export interface MediaGoneFrame extends Placed {
  type: "media_deleted" | "media_expired";
  media_id: string;
  reason: string;
  model?: string;
  response_id?: string;
}
export interface DoneFrame extends OfResponse {
  type: "done";
  error: boolean;
  finish_reason: string;
  message?: string;
  retryable?: boolean;
  usage?: Usage;
  cost_usd?: number;
}
export interface CompleteFrame extends Placed {
  type: "complete";
  turn_id: string;
  metadata: {
    conversation_id: string;
    input_length: number;
    models_requested: number;
    models_successful: number;
    models_failed: number;
    models_cancelled: number;
    timestamp: string;
    processing_time_ms: number;
  };
}
export interface SnapshotMedium {
  media_id: string;
  media_type: MediaKind;
  status: string;
  url?: string;
  format?: string;
  content_type?: string;
  size_bytes?: number;
  width?: number;
  height?: number;
  duration_ms?: number;
  renditions?: MediaRendition[];
  reason?: string;
}
export interface SnapshotFrame extends OfResponse {
  type: "snapshot";
  content: string;
  reasoning: string;
  media: SnapshotMedium[];
  status: string;
}
export interface GapFrame extends Placed {
  type: "gap";
  reason: "retention" | "slow" | "shutdown";
  resume_from: string;
}
export interface KeepaliveFrame {
  type: "keepalive";
  model?: string;
}
export interface ErrorFrame extends Placed {
  type: "error";
  message: string;
}

export type StreamEvent =
  | TurnFrame
  | ConversationFrame
  | StartFrame
  | QueuedFrame
  | ChunkFrame
  | ReasoningFrame
  | NoteFrame
  | MediaPendingFrame
  | MediaFrame
  | MediaRenditionsFrame
  | MediaFailedFrame
  | MediaGoneFrame
  | DoneFrame
  | CompleteFrame
  | SnapshotFrame
  | GapFrame
  | KeepaliveFrame
  | ErrorFrame;

export type PlacedEvent = Exclude<StreamEvent, KeepaliveFrame>;
