/** Dark or light: the system's, until the switch is used. */

export type Theme = "dark" | "light";

const system = matchMedia("(prefers-color-scheme: dark)");

export const theme = (): Theme => (document.documentElement.dataset["theme"] as Theme | undefined) ?? (system.matches ? "dark" : "light");

export function startTheme(changed: () => void): void {
  const stored = localStorage.getItem("grain-theme");
  if (stored === "dark" || stored === "light") document.documentElement.dataset["theme"] = stored;
  system.addEventListener("change", changed);
}

export function switchTheme(): void {
  const next: Theme = theme() === "dark" ? "light" : "dark";
  document.documentElement.dataset["theme"] = next;
  localStorage.setItem("grain-theme", next);
}
