// A refusal of the API in words that say what can be done about it.

const THINGS: Record<string, string> = {
  cost_per_month: "cost of this month",
  media_per_day: "media of today",
  stored_bytes: "storage",
};

/** The sentence of a refusal; of a quota also what is used up, and from when on it works again. */
export function inWords(problem: string, code: string | null, told: unknown): string {
  if (code === "turn_running") return `${problem} Wait for it, or stop it.`;
  if (code !== "quota_exceeded" || typeof told !== "object" || told === null) return problem;
  const said = told as { what?: unknown; limit?: unknown; used?: unknown; resets?: unknown };
  const thing = typeof said.what === "string" ? (THINGS[said.what] ?? said.what.replaceAll("_", " ")) : "quota";
  const at = typeof said.resets === "string" ? new Date(said.resets) : null;
  const again =
    at === null || Number.isNaN(at.getTime())
      ? "Delete something, or ask who runs this server for more."
      : `It works again from ${at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}.`;
  return `${problem} (${thing}: used up.) ${again} Nothing was sent; your prompt is kept.`;
}
