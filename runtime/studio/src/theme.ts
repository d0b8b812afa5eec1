/** Dark or light: the system's, until the switch is used. The style sheet knows the attribute only. */

export type Theme = "dark" | "light";

const system = matchMedia("(prefers-color-scheme: dark)");

export function theme(): Theme {
  const stored = localStorage.getItem("grain-theme");
  if (stored === "dark" || stored === "light") return stored;
  return system.matches ? "dark" : "light";
}

const show = (): void => {
  document.documentElement.dataset["theme"] = theme();
};

export function startTheme(changed: () => void): void {
  show();
  system.addEventListener("change", () => {
    show();
    changed();
  });
}

export function switchTheme(): void {
  localStorage.setItem("grain-theme", theme() === "dark" ? "light" : "dark");
  show();
}
