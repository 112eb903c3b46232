// The colours that the reader has chosen.

export type Theme = "system" | "light" | "dark";

/** Applies the chosen colours to the page. */
export function paint(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
