// The live state of one turn: a pure reducer over frames. The same frames give the same value, whoever holds it.
import { isAfter } from "../client/place";
import type { DoneFrame, PlacedEvent, SnapshotFrame } from "../types/api";
import type { MediaAttachment, MediaKind, MediaRendition, Usage } from "../types/conversation";

/** `pending` is any phase before the outcome, where nobody has said which. */
export type MediumPhase =
  "generating" | "validating" | "uploading" | "pending" | "ready" | "failed" | "deleted" | "expired";

export interface Medium {
  readonly mediaId: string;
  readonly type: MediaKind;
  readonly phase: MediumPhase;
  readonly attachment: MediaAttachment | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly sizeBytes: number | null;
  readonly reason: string | null;
}

export type AnswerPhase = "waiting" | "queued" | "answering" | "finished" | "failed" | "cancelled";

export interface Answer {
  readonly responseId: string;
  readonly model: string;
  readonly phase: AnswerPhase;
  readonly attempt: number;
  readonly queuePosition: number | null;
  readonly text: string;
  readonly reasoning: string;
  readonly notes: readonly string[];
  readonly media: readonly Medium[];
  readonly startedAtMs: number | null;
  readonly firstAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly message: string | null;
  readonly retryable: boolean;
  readonly usage: Usage | null;
  readonly costUsd: number | null;
}

export interface Turn {
  readonly turnId: string;
  readonly conversationId: string;
  readonly prompt: string;
  /** In order of request. */
  readonly answers: readonly Answer[];
  readonly complete: boolean;
  readonly error: string | null;
  /** The id of the last frame that was applied: where a reader goes on. */
  readonly cursor: string | null;
}

export const EMPTY: Turn = {
  turnId: "",
  conversationId: "",
  prompt: "",
  answers: [],
  complete: false,
  error: null,
  cursor: null,
};

export function ended(answer: Answer): boolean {
  return answer.phase === "finished" || answer.phase === "failed" || answer.phase === "cancelled";
}

/** The turn after the frame. A frame at or before the cursor is a repetition and changes nothing. */
export function apply(turn: Turn, frame: PlacedEvent, nowMs: number): Turn {
  // A snapshot's frames are all of the place that it stands for.
  if (!isAfter(frame.id, turn.cursor) && frame.type !== "snapshot") return turn;
  const next = reduce(turn, frame, nowMs);
  return { ...next, cursor: frame.id };
}

function reduce(turn: Turn, frame: PlacedEvent, nowMs: number): Turn {
  switch (frame.type) {
    case "turn":
      return {
        ...turn,
        turnId: frame.turn_id,
        conversationId: frame.conversation_id,
        prompt: frame.prompt,
        complete: false,
        error: null,
      };
    case "start":
      // A further round of a turn begins with it, too.
      return withAnswer({ ...turn, complete: false }, frame, (answer) => ({
        ...answer,
        phase: "waiting",
        attempt: frame.attempt,
        startedAtMs: answer.startedAtMs ?? nowMs,
      }));
    case "queued":
      return withAnswer(turn, frame, (answer) => ({ ...answer, phase: "queued", queuePosition: frame.position }));
    case "chunk":
      return withAnswer(turn, frame, (answer) => heard({ ...answer, text: answer.text + frame.content }, nowMs));
    case "reasoning":
      return withAnswer(turn, frame, (answer) =>
        heard({ ...answer, reasoning: answer.reasoning + frame.content }, nowMs),
      );
    case "note":
      return withAnswer(turn, frame, (answer) => ({ ...answer, notes: [...answer.notes, frame.message] }));
    case "media_pending":
      return withAnswer(turn, frame, (answer) =>
        heard(
          withMedium(answer, frame.media_id, frame.media_type, (medium) => ({
            ...medium,
            phase: phaseOfStatus(frame.phase),
            width: frame.width ?? medium.width,
            height: frame.height ?? medium.height,
            sizeBytes: frame.size_bytes ?? medium.sizeBytes,
            reason: null,
          })),
          nowMs,
        ),
      );
    case "media":
      return withAnswer(turn, frame, (answer) =>
        heard(
          withMedium(answer, frame.media_id, frame.media_type, (medium) => ({
            ...medium,
            phase: "ready",
            attachment: attachmentOf(frame),
            width: frame.width ?? medium.width,
            height: frame.height ?? medium.height,
            sizeBytes: frame.size_bytes,
            reason: null,
          })),
          nowMs,
        ),
      );
    case "media_renditions":
      return withAnswer(turn, frame, (answer) => ({
        ...answer,
        media: answer.media.map((medium) =>
          medium.mediaId === frame.media_id && medium.attachment
            ? { ...medium, attachment: { ...medium.attachment, renditions: frame.renditions } }
            : medium,
        ),
      }));
    case "media_failed":
      return withAnswer(turn, frame, (answer) =>
        withMedium(answer, frame.media_id, frame.media_type, (medium) => ({
          ...medium,
          phase: "failed",
          reason: frame.message,
        })),
      );
    case "media_deleted":
    case "media_expired": {
      const phase = frame.type === "media_deleted" ? "deleted" : "expired";
      return {
        ...turn,
        answers: turn.answers.map((answer) => ({
          ...answer,
          media: answer.media.map((medium) =>
            medium.mediaId === frame.media_id ? { ...medium, phase, attachment: null, reason: null } : medium,
          ),
        })),
      };
    }
    case "snapshot":
      return withAnswer(turn, frame, (answer) => restored(answer, frame, nowMs));
    case "done":
      return withAnswer(turn, frame, (answer) => ({
        ...answer,
        phase: phaseOf(frame),
        endedAtMs: nowMs,
        message: frame.message ?? null,
        retryable: frame.retryable ?? false,
        usage: frame.usage ?? null,
        costUsd: frame.cost_usd ?? null,
      }));
    case "error":
      return { ...turn, error: frame.message };
    case "complete":
      return { ...turn, complete: true };
    case "conversation":
    case "gap":
      return turn;
    default:
      // A type of a later version: the table may grow.
      return turn;
  }
}

function phaseOf(done: DoneFrame): AnswerPhase {
  if (done.error) return "failed";
  return done.finish_reason === "cancelled" ? "cancelled" : "finished";
}

function heard(answer: Answer, nowMs: number): Answer {
  return {
    ...answer,
    phase: ended(answer) ? answer.phase : "answering",
    queuePosition: null,
    firstAtMs: answer.firstAtMs ?? nowMs,
  };
}

interface Named {
  response_id: string;
  model: string;
}

function withAnswer(turn: Turn, named: Named, change: (answer: Answer) => Answer): Turn {
  const at = turn.answers.findIndex((answer) => answer.responseId === named.response_id);
  const changed = change(turn.answers[at] ?? unheard(named));
  const answers = [...turn.answers];
  if (at < 0) answers.push(changed);
  else answers[at] = changed;
  return { ...turn, answers };
}

export function unheard(named: Named): Answer {
  return {
    responseId: named.response_id,
    model: named.model,
    phase: "waiting",
    attempt: 1,
    queuePosition: null,
    text: "",
    reasoning: "",
    notes: [],
    media: [],
    startedAtMs: null,
    firstAtMs: null,
    endedAtMs: null,
    message: null,
    retryable: false,
    usage: null,
    costUsd: null,
  };
}

function withMedium(answer: Answer, mediaId: string, type: MediaKind, change: (medium: Medium) => Medium): Answer {
  const at = answer.media.findIndex((medium) => medium.mediaId === mediaId);
  const changed = change(
    answer.media[at] ?? {
      mediaId,
      type,
      phase: "generating",
      attachment: null,
      width: null,
      height: null,
      sizeBytes: null,
      reason: null,
    },
  );
  const media = [...answer.media];
  if (at < 0) media.push(changed);
  else media[at] = changed;
  return { ...answer, media };
}

interface Shown {
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
}

export function attachmentOf(frame: Shown): MediaAttachment {
  return {
    media_id: frame.media_id,
    type: frame.media_type,
    url: frame.url,
    format: frame.format,
    content_type: frame.content_type,
    size_bytes: frame.size_bytes,
    width: frame.width ?? null,
    height: frame.height ?? null,
    duration_ms: frame.duration_ms ?? null,
    renditions: frame.renditions ?? null,
    status: "stored",
  };
}

/** A snapshot is the whole answer so far and takes the place of what was there. */
function restored(answer: Answer, frame: SnapshotFrame, nowMs: number): Answer {
  const something = frame.content !== "" || frame.reasoning !== "" || frame.media.length > 0;
  return {
    ...answer,
    text: frame.content,
    reasoning: frame.reasoning,
    media: frame.media.map((shown) => ({
      mediaId: shown.media_id,
      type: shown.media_type,
      phase: phaseOfStatus(shown.status),
      attachment:
        shown.status === "stored" && shown.url
          ? {
              media_id: shown.media_id,
              type: shown.media_type,
              url: shown.url,
              format: shown.format ?? "",
              content_type: shown.content_type ?? null,
              size_bytes: shown.size_bytes ?? null,
              width: shown.width ?? null,
              height: shown.height ?? null,
              duration_ms: shown.duration_ms ?? null,
              renditions: shown.renditions ?? null,
            }
          : null,
      width: shown.width ?? null,
      height: shown.height ?? null,
      sizeBytes: shown.size_bytes ?? null,
      reason: shown.reason ?? null,
    })),
    phase: ended(answer) ? answer.phase : something ? "answering" : "waiting",
    firstAtMs: answer.firstAtMs ?? (something ? nowMs : null),
  };
}

/** By what frames and tables call it; a word of a later version is one more phase on the way. */
export function phaseOfStatus(status: string): MediumPhase {
  switch (status) {
    case "stored":
      return "ready";
    case "deleted":
    case "expired":
    case "generating":
    case "validating":
    case "uploading":
      return status;
    case "refused":
    case "rejected":
    case "failed":
      return "failed";
    default:
      return "pending";
  }
}

export function onItsWay(phase: MediumPhase): boolean {
  return phase === "generating" || phase === "validating" || phase === "uploading" || phase === "pending";
}
