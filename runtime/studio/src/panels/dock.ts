/** Panels below the text: one at a time, chosen by tabs. */

import { fill, h } from "../dom";

export interface Panel {
  readonly name: string;
  readonly title: string;
  readonly body: HTMLElement;
}

export class Dock {
  private readonly tabs = new Map<string, HTMLButtonElement>();
  private readonly badges = new Map<string, HTMLElement>();
  private current = "";

  constructor(parent: HTMLElement, private readonly panels: readonly Panel[], private readonly shown: (name: string) => void) {
    const bar = h("div", { class: "tabs", role: "tablist", "aria-label": "Panels" });
    const body = h("div", { class: "dock-body" });
    for (const panel of panels) {
      const badge = h("span", { class: "badge" });
      const tab = h("button", { role: "tab", id: `tab-${panel.name}`, "aria-controls": `panel-${panel.name}`, onclick: () => this.show(panel.name) }, panel.title, badge);
      panel.body.id = `panel-${panel.name}`;
      panel.body.setAttribute("role", "tabpanel");
      panel.body.setAttribute("aria-labelledby", tab.id);
      panel.body.tabIndex = 0;
      this.tabs.set(panel.name, tab);
      this.badges.set(panel.name, badge);
      bar.append(tab);
      body.append(panel.body);
    }
    bar.addEventListener("keydown", (event) => this.key(event));
    parent.append(bar, body);
    this.show(panels[0]!.name);
  }

  show(name: string): void {
    this.current = name;
    for (const panel of this.panels) {
      const chosen = panel.name === name;
      const tab = this.tabs.get(panel.name)!;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      panel.body.hidden = !chosen;
    }
    this.shown(name);
  }

  get open(): string {
    return this.current;
  }

  /** A count beside a panel's title, coloured by how serious it is. */
  badge(name: string, text: string, kind: "" | "error" | "warning" | "busy" = ""): void {
    const badge = this.badges.get(name)!;
    fill(badge, text);
    badge.className = `badge ${kind}`;
  }

  private key(event: KeyboardEvent): void {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    const names = this.panels.map((panel) => panel.name);
    const next = names[(names.indexOf(this.current) + by + names.length) % names.length]!;
    this.show(next);
    this.tabs.get(next)!.focus();
    event.preventDefault();
  }
}
