// Cuts growing Markdown into blocks, so that what is final is never parsed again while the answer goes on.

export interface Blocks {
  /** How much of the text is cut for good. */
  readonly settledTo: number;
  readonly settled: readonly string[];
  /** The rest, which may still change its meaning. */
  readonly open: string;
}

export const NO_BLOCKS: Blocks = { settledTo: 0, settled: [], open: "" };

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const LIST = /^ {0,3}([-*+]|\d{1,9}[.)])\s/;

/** The blocks of `text`, given those of a beginning of it. */
export function cut(before: Blocks, text: string): Blocks {
  const from = text.length >= before.settledTo && before.settled.length > 0 ? before : NO_BLOCKS;
  const settled = [...from.settled];
  let start = from.settledTo;
  let fence: string | null = null;
  let math = false;
  let inList = false;
  let blank = false;
  let at = start;
  while (at < text.length) {
    const end = text.indexOf("\n", at);
    if (end < 0) break;
    const line = text.slice(at, end);
    const trimmed = line.trim();
    if (fence !== null) {
      if (trimmed.startsWith(fence) && trimmed.replaceAll(fence.charAt(0), "") === "") fence = null;
      blank = false;
    } else if (math) {
      if (trimmed.endsWith("$$") || trimmed.endsWith("\\]")) math = false;
      blank = false;
    } else if (trimmed === "") {
      blank = true;
    } else {
      const indented = /^( {2,}|\t)/.test(line);
      const item = LIST.test(line);
      // A blank line ends a block, but neither a list that goes on nor what is indented under it.
      if (blank && at > start && !(inList && (item || indented)) && !indented) {
        settled.push(text.slice(start, at));
        start = at;
        inList = false;
      }
      if (item) inList = true;
      const opened = FENCE.exec(line);
      if (opened?.[1]) fence = opened[1].slice(0, 3);
      else if ((trimmed.startsWith("$$") && !trimmed.slice(2).includes("$$")) || trimmed === "\\[") math = true;
      blank = false;
    }
    at = end + 1;
  }
  return { settledTo: start, settled, open: text.slice(start) };
}
