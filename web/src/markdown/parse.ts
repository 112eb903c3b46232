// Markdown of models to tokens: GitHub's dialect, and LaTeX between dollars or backslashed brackets.
import { Marked, type Token, type TokenizerAndRendererExtension, type Tokens } from "marked";

export interface MathToken extends Tokens.Generic {
  type: "math";
  tex: string;
  display: boolean;
}

const DISPLAY = /^(?:\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\])/;
// A dollar amount is no formula: nothing opens before a space or closes before a digit.
const INLINE = /^(?:\$(?!\s|\$)((?:\\.|[^$\\\n])+?)(?<!\s)\$(?!\d)|\\\(([\s\S]+?)\\\))/;

function rule(name: string, level: "block" | "inline", pattern: RegExp, display: boolean): TokenizerAndRendererExtension {
  return {
    name,
    level,
    start: (source: string) => {
      const at = source.search(display ? /\$\$|\\\[/ : /\$|\\\(/);
      return at < 0 ? undefined : at;
    },
    tokenizer: (source: string) => {
      const found = pattern.exec(source);
      if (!found) return undefined;
      return { type: "math", raw: found[0], tex: (found[1] ?? found[2] ?? "").trim(), display };
    },
    childTokens: [],
  };
}

const marked = new Marked({
  gfm: true,
  extensions: [
    rule("displayMath", "block", DISPLAY, true),
    rule("displayMathInLine", "inline", DISPLAY, true),
    rule("inlineMath", "inline", INLINE, false),
  ],
});

export function parse(source: string): Token[] {
  return marked.lexer(source);
}

/** An address that a link may lead to; null for scripts, data and what is no address. */
export function safeHref(href: string): string | null {
  try {
    const url = new URL(href, "https://relative.invalid");
    if (url.hostname === "relative.invalid") return href.startsWith("#") ? href : null;
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
