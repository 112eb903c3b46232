import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cut, NO_BLOCKS } from "./blocks";

const line = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.constantFrom("", "", "```", "```python", "- item", "  more", "1. one", "$$", "# title", "| a | b |"),
);
const text = fc.array(line, { maxLength: 30 }).map((lines) => lines.join("\n"));

describe("cut", () => {
  it("loses and repeats nothing", () => {
    fc.assert(
      fc.property(text, (whole) => {
        const { settled, open } = cut(NO_BLOCKS, whole);
        expect(settled.join("") + open).toBe(whole);
      }),
    );
  });

  it("never changes what is settled, however the text arrives", () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat({ max: 400 }), { maxLength: 8 }), (whole, places) => {
        let blocks = NO_BLOCKS;
        for (const end of [...places, whole.length].sort((a, b) => a - b)) {
          const next = cut(blocks, whole.slice(0, Math.min(end, whole.length)));
          expect(next.settled.slice(0, blocks.settled.length)).toEqual(blocks.settled);
          blocks = next;
        }
        expect(blocks).toEqual(cut(NO_BLOCKS, whole));
      }),
    );
  });

  it("keeps a fence whole, blank lines and all", () => {
    const code = "```js\nlet a;\n\n# no title\n```\n";
    expect(cut(NO_BLOCKS, `before\n\n${code}\nafter\n`).settled).toEqual(["before\n\n", `${code}\n`]);
  });

  it("keeps a list whole over the blank lines between its items", () => {
    const list = "- one\n\n- two\n\n  more of two\n\n";
    expect(cut(NO_BLOCKS, `${list}Then text.\n`).settled).toEqual([list]);
  });
});
