// A stored turn as the value that live turns have, so that one view shows both.
import type {
  Conversation,
  ConversationMessage,
  ConversationTurn,
  MediaAttachment,
  MissingMedium,
  Picture,
} from "../types/conversation";
import { ended, onItsWay, phaseOfStatus, type Answer, type AnswerPhase, type Medium, type MediumPhase, type Turn } from "./turn";

/**
 * The tables of turns and of answers are filled each by itself: a turn is whole when both say so. What is inherited was
 * whole before.
 */
export function fromStored(turn: ConversationTurn, conversationId: string): Turn {
  const answers = turn.messages.filter((one) => one.role === "assistant").map(answerOf);
  return {
    turnId: turn.turn_id,
    conversationId,
    prompt: turn.prompt,
    answers,
    complete: turn.finished && (turn.inherited === true || answers.every(whole)),
    error: turn.gone ? (turn.notice ?? null) : null,
    cursor: null,
  };
}

const waits = (answer: Answer): boolean => answer.media.some((medium) => onItsWay(medium.phase));
const whole = (answer: Answer): boolean => ended(answer) && !waits(answer);
const said = (turn: Turn): boolean => turn.answers.length > 0 && turn.answers.every(ended);

/** A medium that is tried again has its outcome in seconds, or when the storage is back: soon the page asks less often. */
const OFTEN = 12;

/** When to ask for the conversation again, after that many looks at it; never where all of it is there. */
export function lookAgainMs(stored: Conversation | undefined, looks = 0): number | false {
  if (!stored) return false;
  if (stored.turns.length === 0) return 1_000;
  const turns = stored.turns.filter((turn) => turn.gone !== true);
  const runs = (turn: ConversationTurn) => !turn.inherited && (!turn.finished || !said(fromStored(turn, "")));
  if (turns.some(runs)) return 5_000;
  if (turns.some((turn) => fromStored(turn, "").answers.some(waits))) return looks < OFTEN ? 5_000 : 30_000;
  return false;
}

/** The turn to be read as it comes: the one whose models still speak before one that only waits for media. */
export function toFollow(stored: readonly Turn[]): Turn | undefined {
  const open = stored.filter((turn) => !turn.complete);
  return open.find((turn) => !said(turn)) ?? open.at(-1);
}

/** The stored turns with the live one in its place. Once the tables have the whole of it, they count. */
export function merged(stored: readonly Turn[], live: Turn | null): readonly Turn[] {
  if (!live || live.turnId === "") return stored;
  const at = stored.findIndex((turn) => turn.turnId === live.turnId);
  const there = stored[at];
  if (!there) return [...stored, live];
  if (there.complete && live.complete && hasAll(there, live)) return stored;
  return stored.with(at, live);
}

/** A medium is in the tables of answers once it is stored, which may be after the turn is whole in its own. */
function hasAll(stored: Turn, live: Turn): boolean {
  const answers = new Map(stored.answers.map((answer) => [answer.responseId, answer.media]));
  return live.answers.every(({ responseId, media }) => {
    const there = answers.get(responseId);
    return there && media.every(({ mediaId }) => there.some((medium) => medium.mediaId === mediaId));
  });
}

function answerOf(message: ConversationMessage): Answer {
  const started = Date.parse(message.created_at);
  const ended = message.completed_at === null ? null : Date.parse(message.completed_at);
  return {
    responseId: message.message_id,
    model: message.model_id ?? "",
    phase: phaseOf(message.status),
    attempt: 1,
    queuePosition: null,
    text: message.content,
    reasoning: message.reasoning ?? "",
    notes: [],
    media: mediaOf(message),
    startedAtMs: started,
    firstAtMs: message.time_to_first_token_ms === null ? null : started + message.time_to_first_token_ms,
    endedAtMs: message.duration_ms === null ? ended : started + message.duration_ms,
    message: message.error_message,
    retryable: message.retryable ?? false,
    usage: message.usage,
    costUsd: message.cost_usd_micros === null ? null : message.cost_usd_micros / 1_000_000,
  };
}

function phaseOf(status: string): AnswerPhase {
  switch (status) {
    case "completed":
      return "finished";
    case "failed":
    case "cancelled":
      return status;
    case "running":
      return "answering";
    default:
      return "waiting";
  }
}

/** What a prompt was sent with. */
export interface Sent {
  readonly pictures: readonly Picture[];
  readonly system: string | null;
}

/** By turn, where there is any. */
export function sentAlong(stored: Conversation | undefined): ReadonlyMap<string, Sent> {
  const all = (stored?.turns ?? []).map((turn) => {
    const pictures = turn.messages.find((one) => one.role === "user")?.attachments ?? [];
    return [turn.turn_id, { pictures, system: turn.system }] as const;
  });
  return new Map(all.filter(([, sent]) => sent.pictures.length > 0 || sent.system !== null));
}

/** The models of the latest turn, in order of choice: whom a follow-up goes to. */
export function lastModels(turns: readonly Turn[]): readonly string[] {
  return [...new Set(turns.at(-1)?.answers.map((answer) => answer.model) ?? [])];
}

/** In order of appearance; what comes and what there is not are last where the tables have no place for them. */
function mediaOf(message: ConversationMessage): Medium[] {
  const missing = new Map((message.missing_media ?? []).map((one) => [one.media_id, one]));
  const there = (message.media_urls ?? []).map((attachment, at) => {
    const medium = mediumOf(attachment, at);
    const why = missing.get(medium.mediaId);
    missing.delete(medium.mediaId);
    return why ? { ...medium, phase: phaseOfMedium(why.status), attachment: null, reason: why.message } : medium;
  });
  const coming = (message.pending_media ?? []).map((one) => placeOf({ ...one, message: null }));
  return [...there, ...coming, ...[...missing.values()].map(placeOf)];
}

function placeOf({ media_id, type, status, message }: Omit<MissingMedium, "reason">): Medium {
  return {
    mediaId: media_id,
    type,
    phase: phaseOfMedium(status),
    attachment: null,
    width: null,
    height: null,
    sizeBytes: null,
    reason: message,
  };
}

function mediumOf(attachment: MediaAttachment, at: number): Medium {
  const phase = phaseOfMedium(attachment.status ?? "stored");
  return {
    mediaId: attachment.media_id ?? `${attachment.url}#${at}`,
    type: attachment.type,
    phase,
    attachment: phase === "ready" ? attachment : null,
    width: attachment.width ?? null,
    height: attachment.height ?? null,
    sizeBytes: attachment.size_bytes ?? null,
    reason: null,
  };
}

/** To the tables whatever has no outcome is being uploaded, also while it is checked. */
function phaseOfMedium(status: string): MediumPhase {
  return status === "uploading" ? "pending" : phaseOfStatus(status);
}
