// Judging blind: letters in place of names, and an order that says nothing of the order in which models were chosen.

/** In an order of its own for every turn, the same at each look, also while answers are added. */
export function shuffled<T>(answers: readonly T[], idOf: (answer: T) => string): readonly T[] {
  return [...answers].sort((one, other) => mixed(idOf(one)) - mixed(idOf(other)));
}

export const letter = (n: number): string => `Model ${String.fromCharCode(65 + n)}`;

/** Spreads ids that differ in their last sign only: FNV-1a, and its bits mixed once more. */
function mixed(id: string): number {
  let hash = 2_166_136_261;
  for (const sign of id) hash = Math.imul(hash ^ (sign.codePointAt(0) ?? 0), 16_777_619);
  hash = Math.imul(hash ^ (hash >>> 15), 2_246_822_507);
  return (hash ^ (hash >>> 13)) >>> 0;
}
