// What a newcomer sees: what this is, and three prompts that show off text, picture, sound and film.
import { useQuery } from "@tanstack/react-query";
import { models } from "../../client/conversations";

interface Example {
  title: string;
  prompt: string;
  wants: readonly string[];
}

const EXAMPLES: readonly Example[] = [
  { title: "Text and a picture", prompt: "Draw a blue square and describe it", wants: ["text", "image"] },
  { title: "Something to hear", prompt: "Read a short poem about the sea aloud", wants: ["audio", "text"] },
  { title: "A short film", prompt: "Show a ball that bounces across the screen", wants: ["video", "image"] },
];

export function FirstVisit({ onTry }: { onTry: (prompt: string, models: string[]) => void }) {
  const listed = useQuery({ queryKey: ["models"], queryFn: models, staleTime: 300_000 });

  /** The first model that makes each of what the example wants. */
  function fitting(wants: readonly string[]): string[] {
    const found = wants.flatMap(
      (one) =>
        (listed.data ?? []).find((model) =>
          one === "text"
            ? model.output_modalities.length === 1 && model.output_modalities[0] === "text"
            : model.output_modalities.includes(one),
        )?.id ?? [],
    );
    return [...new Set(found)];
  }

  return (
    <section className="first-visit">
      <h1>Ask several models at once, and compare what they say, draw, speak and film.</h1>
      <ul>
        {EXAMPLES.map((example) => (
          <li key={example.title}>
            {/* Which models fit is known once they are listed. */}
            <button type="button" disabled={listed.isPending} onClick={() => onTry(example.prompt, fitting(example.wants))}>
              <strong>{example.title}</strong>
              <span>{example.prompt}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
