// Markdown as elements, never as HTML: what a model wrote can become text, structure and safe links, and nothing else.
import type { Token, Tokens } from "marked";
import { Fragment, memo, useMemo, useRef, type ReactNode } from "react";
import { cut, NO_BLOCKS, type Blocks } from "./blocks";
import { Code } from "./Code";
import { Formula } from "./Formula";
import { languageOf } from "./language";
import { parse, safeHref, type MathToken } from "./parse";
import "./markdown.css";

/** Renders a text that may still grow; `done` says that it is whole. */
export const Markdown = memo(function Markdown({ text, done }: { text: string; done: boolean }) {
  const known = useRef<{ text: string; blocks: Blocks }>({ text: "", blocks: NO_BLOCKS });
  const from = text.startsWith(known.current.text) ? known.current.blocks : NO_BLOCKS;
  // The last line of what is whole is whole too, also without its line break.
  const blocks = cut(from, done ? `${text}\n` : text);
  known.current = { text, blocks };
  const language = useMemo(() => (done ? languageOf(text) : undefined), [text, done]);
  const sources = blocks.open === "" ? blocks.settled : [...blocks.settled, blocks.open];
  const parts = Array.from({ length: Math.ceil(sources.length / PART) }, (_, n) => sources.slice(n * PART, (n + 1) * PART));
  return (
    <div className="markdown" lang={language}>
      {parts.map((sources, n) => (
        <Part key={n} sources={sources} settled={Math.min(PART, blocks.settled.length - n * PART)} done={done} />
      ))}
    </div>
  );
});

/** So many blocks are skipped together where they are out of sight: each that the browser watches costs a little, too. */
const PART = 6;

interface PartProps {
  sources: readonly string[];
  /** How many of them are final though the text goes on. */
  settled: number;
  done: boolean;
}

const Part = memo(function Part({ sources, settled, done }: PartProps) {
  return (
    <div className="part">
      {sources.map((source, n) => (
        <Block key={n} source={source} final={n < settled || done} />
      ))}
    </div>
  );
}, isSamePart);

/** A part that is whole stays as it is, whatever comes behind it. */
function isSamePart(before: PartProps, next: PartProps): boolean {
  return (
    before.settled === next.settled &&
    before.sources.length === next.sources.length &&
    before.sources.every((source, n) => source === next.sources[n]) &&
    (before.done === next.done || next.settled === next.sources.length)
  );
}

/** Each block has its own direction and, once it is whole, its own language: answers quote and translate. */
const Block = memo(function Block({ source, final }: { source: string; final: boolean }) {
  const language = useMemo(() => (final ? languageOf(source) : undefined), [source, final]);
  return (
    <div dir="auto" lang={language}>
      {rendered(parse(source), final)}
    </div>
  );
});

function rendered(tokens: readonly Token[] | undefined, final: boolean): ReactNode[] {
  return (tokens ?? []).map((token, n) => <Fragment key={n}>{element(token as KnownToken, final)}</Fragment>);
}

type KnownToken =
  | Tokens.Heading
  | Tokens.Paragraph
  | Tokens.Text
  | Tokens.Strong
  | Tokens.Em
  | Tokens.Del
  | Tokens.Codespan
  | Tokens.Code
  | Tokens.Blockquote
  | Tokens.List
  | Tokens.Table
  | Tokens.Link
  | Tokens.Image
  | Tokens.Br
  | Tokens.Hr
  | Tokens.Escape
  | Tokens.Space
  | Tokens.Def
  | MathToken;

function element(token: KnownToken, final: boolean): ReactNode {
  switch (token.type) {
    case "heading": {
      // Answers stand under headings of the page, so theirs begin lower.
      const Level = `h${Math.min(6, token.depth + 3)}` as "h4" | "h5" | "h6";
      return <Level>{rendered(token.tokens, final)}</Level>;
    }
    case "paragraph":
      return <p>{rendered(token.tokens, final)}</p>;
    case "text":
      return "tokens" in token ? rendered(token.tokens, final) : decoded(token.text);
    case "strong":
      return <strong>{rendered(token.tokens, final)}</strong>;
    case "em":
      return <em>{rendered(token.tokens, final)}</em>;
    case "del":
      return <del>{rendered(token.tokens, final)}</del>;
    case "codespan":
      return <code dir="ltr">{token.text}</code>;
    case "code":
      return <Code text={token.text} language={token.lang ?? ""} final={final} />;
    case "blockquote":
      return <blockquote>{rendered(token.tokens, final)}</blockquote>;
    case "list":
      return list(token, final);
    case "table":
      return table(token, final);
    case "link":
      return link(token.href, rendered(token.tokens, final));
    case "image":
      // Not loaded: an address in a text could tell a stranger who reads it.
      return link(token.href, token.text === "" ? "picture" : token.text);
    case "br":
      return <br />;
    case "hr":
      return <hr />;
    case "escape":
      return token.text;
    case "math":
      return <Formula tex={(token).tex} display={(token).display} />;
    case "space":
    case "def":
      return null;
    default:
      // HTML among them: shown as it was written.
      return (token as Tokens.Generic).raw;
  }
}

function list(token: Tokens.List, final: boolean): ReactNode {
  const items = token.items.map((item, n) => (
    <li key={n} className={item.task ? "task" : undefined}>
      {item.task && <input type="checkbox" checked={item.checked ?? false} disabled aria-label="task" />}
      {rendered(item.tokens.filter((one) => one.type !== "checkbox"), final)}
    </li>
  ));
  return token.ordered ? <ol start={Number(token.start) || 1}>{items}</ol> : <ul>{items}</ul>;
}

function table(token: Tokens.Table, final: boolean): ReactNode {
  return (
    <div className="table" role="region" aria-label="Table" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {token.header.map((cell, n) => (
              <th key={n} scope="col" data-align={cell.align ?? undefined}>
                {rendered(cell.tokens, final)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {token.rows.map((row, r) => (
            <tr key={r}>
              {row.map((cell, n) => (
                <td key={n} data-align={cell.align ?? undefined}>
                  {rendered(cell.tokens, final)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function link(href: string, content: ReactNode): ReactNode {
  const safe = safeHref(href);
  if (safe === null) return <span>{content}</span>;
  return (
    <a href={safe} target="_blank" rel="noopener noreferrer nofollow">
      {content}
    </a>
  );
}

const NAMED: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", nbsp: "\u00a0" };

/** The entities that models write in Markdown; the others stay as they are. */
function decoded(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39|nbsp);/g, (whole, name: string) => NAMED[name] ?? whole);
}
