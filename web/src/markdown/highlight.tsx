// Syntax colours, loaded only where an answer holds code. The highlighter makes a tree, and we make elements of it.
import type { ElementContent, RootContent } from "hast";
import { common, createLowlight } from "lowlight";
import { Fragment, type ReactNode } from "react";

const lowlight = createLowlight(common);

export function highlight(text: string, language: string): ReactNode {
  if (!lowlight.registered(language)) return text;
  return elements(lowlight.highlight(language, text).children);
}

function elements(nodes: readonly (RootContent | ElementContent)[]): ReactNode[] {
  return nodes.map((node, n) => {
    if (node.type === "text") return <Fragment key={n}>{node.value}</Fragment>;
    if (node.type !== "element") return null;
    const names = node.properties.className;
    return (
      <span key={n} className={Array.isArray(names) ? names.join(" ") : undefined}>
        {elements(node.children)}
      </span>
    );
  });
}
