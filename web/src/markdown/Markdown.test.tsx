import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it } from "vitest";
import { Markdown } from "./Markdown";

afterEach(cleanup);

const show = (text: string) => render(<Markdown text={text} done />).container;

describe("Markdown", () => {
  it("makes structure of what models write", () => {
    show("## Title\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n**bold** and `code`");
    expect(screen.getByRole("heading", { level: 5 }).textContent).toBe("Title");
    expect(screen.getAllByRole("listitem")).toHaveLength(2);
    expect(screen.getByRole("columnheader", { name: "a" })).toBeTruthy();
    expect(screen.getByText("bold").tagName).toBe("STRONG");
  });

  it("shows HTML as the text that it is", () => {
    const made = show('<img src=x onerror="alert(1)">\n\nand <script>alert(1)</script> inline');
    expect(made.querySelector("img, script")).toBeNull();
    expect(made.textContent).toContain("<script>alert(1)</script>");
  });

  it.each(["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "//evil.example/x", "file:///x"])(
    "makes no link of %s",
    (address) => {
      const made = show(`[press](${address})`);
      const link = made.querySelector("a");
      expect(link === null || link.href.startsWith("https://") || link.href.startsWith("http://")).toBe(true);
      expect(link?.href ?? "").not.toContain("script:");
    },
  );

  it("loads no picture that a text names", () => {
    const made = show("![a](https://example.com/spy.png)");
    expect(made.querySelector("img")).toBeNull();
    expect(made.querySelector("a")?.rel).toBe("noopener noreferrer nofollow");
  });

  it("takes amounts of money for no formula", () => {
    expect(show("It costs $5 or $6.").querySelector(".formula")).toBeNull();
    expect(show("So $a^2$ is it.").querySelector(".formula")?.textContent).toBe("a^2");
    expect(show("$$\nx = 1\n$$").querySelector(".formula.display")).not.toBeNull();
  });

  it("leaves the elements of what is final as they are while the text goes on", () => {
    const blocks = Array.from({ length: 40 }, (_, n) => `Block ${n}\n\n- a\n- b\n\n`);
    const { container, rerender } = render(<Markdown text={blocks.slice(0, 3).join("")} done={false} />);
    const first = container.querySelector("li");
    for (let many = 4; many <= 40; many += 1) rerender(<Markdown text={blocks.slice(0, many).join("")} done={false} />);
    expect(container.querySelector("li")).toBe(first);
    expect(container.querySelectorAll("li")).toHaveLength(80);
    expect(container.querySelectorAll(".part").length).toBeLessThan(20);
    rerender(<Markdown text={blocks.join("")} done />);
    expect(container.querySelector("li")).toBe(first);
    expect(container.textContent).toContain("Block 39");
  });

  it("gives each block its own direction, and its language where it is certain", () => {
    const made = show(
      "In German one would say it like this, with the verb at the end of it:\n\n" +
        "Der Mond ist aufgegangen, und die See ist still, wie sie es auch im Winter ist.\n\nשלום לכל העולם כולו",
    );
    const blocks = [...made.querySelectorAll<HTMLElement>(".markdown > .part > *")];
    expect(blocks.map((one) => one.dir)).toEqual(["auto", "auto", "auto"]);
    expect(blocks.map((one) => one.lang)).toEqual(["en", "de", "he"]);
  });

  it("names no language while a text still grows", () => {
    const made = render(<Markdown text="This is what it is, and that is all of it for now" done={false} />).container;
    expect(made.querySelector("[lang]")).toBeNull();
  });

  it("writes code from left to right in whatever text", () => {
    expect(show("הקלד `npm install` עכשיו").querySelector("code")?.dir).toBe("ltr");
  });
});
