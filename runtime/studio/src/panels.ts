/** The four panels below the text, filled from the state. */

import { api, described } from "./api";
import { fill, h } from "./dom";
import { applyEdits } from "./editor/language_tools";
import type { CodeAction, Diagnostic } from "./language/client";
import { inline } from "./language/markdown";
import { debounced, Turn } from "./pace";
import { Dock } from "./panels/dock";
import { findingsList, type Listed } from "./panels/findings";
import { active, jobsList, tick } from "./panels/jobs";
import { showPlan } from "./panels/plan";
import { runsList } from "./panels/runs";
import type { Session } from "./session";
import { colourOf, studio } from "./state";
import { toOffset, toPosition } from "./text_edits";
import type { Work } from "./work";

/** The same, as the regions say it and as the text's check does. */
const NOT_TRACKED = { bound: "G354", checked: ["G357", "G358", "G363", "G365"] };
/** Of these, what tracking mends. */
const TRACKABLE = [NOT_TRACKED.bound, "G357", "G358"];

export class Panels {
  private readonly findings = h("div", { class: "panel" });
  private readonly plan = h("div", { class: "panel" });
  private readonly jobs = h("div", { class: "panel" });
  private readonly runs = h("div", { class: "panel" });
  private readonly dock: Dock;
  private readonly planTurn = new Turn();
  private readonly fixTurn = new Turn();
  private readonly askPlan = debounced(() => void this.readPlan(), 400);

  constructor(
    parent: HTMLElement,
    private readonly session: () => Session,
    private readonly work: () => Work,
  ) {
    const panels = [
      { name: "findings", title: "Findings", body: this.findings },
      { name: "plan", title: "Plan", body: this.plan },
      { name: "jobs", title: "Jobs", body: this.jobs },
      { name: "runs", title: "Runs", body: this.runs },
    ];
    this.dock = new Dock(parent, panels, (name) => name === "plan" && this.askPlan());
  }

  start(): void {
    studio.watch(["jobs"], ({ jobs }) => {
      const work = this.work();
      jobsList(this.jobs, jobs, {
        cancel: (job) => void work.cancel(job),
        again: (job) => void work.begin(job.kind, job.variant),
        open: (run) => studio.set({ run, view: "slider" }),
      });
      const busy = jobs.filter(active).length;
      this.dock.badge("jobs", busy ? String(busy) : "", "busy");
    });
    setInterval(() => tick(this.jobs, studio.now.jobs), 1000);
    studio.watch(["runs", "run"], ({ runs, run }) => {
      runsList(this.runs, runs, run, {
        open: (each) => studio.set({ run: each.name, view: studio.now.view === "clip" ? "slider" : studio.now.view }),
        report: (each) => window.open(api.report(each), "_blank", "noopener"),
      });
      this.dock.badge("runs", runs.length ? String(runs.length) : "");
    });
    studio.watch(["regions", "variant", "runs"], () => this.dock.open === "plan" && this.askPlan());
  }

  show(name: string): void {
    this.dock.show(name);
  }

  /** Findings of the text, with fixes, and those that only binding the regions finds. */
  async showFindings(): Promise<void> {
    const session = this.session();
    const { diagnostics } = session;
    this.list(diagnostics, []);
    if (!diagnostics.length) return;
    const current = this.fixTurn.begin();
    const { doc } = session.editor.view.state;
    const range = { start: { line: 0, character: 0 }, end: toPosition(doc, doc.length) };
    const actions = await session.language
      .ask<CodeAction[]>("textDocument/codeAction", { range, context: { diagnostics, only: ["quickfix"] } })
      .catch(() => null);
    if (actions?.length && current() && session.diagnostics === diagnostics) this.list(diagnostics, actions);
  }

  private list(diagnostics: readonly Diagnostic[], actions: readonly CodeAction[]): void {
    const session = this.session();
    const { view } = session.editor;
    const marked: Listed[] = diagnostics.map((d) => ({
      severity: d.severity === 2 ? "warning" : (d.severity ?? 1) > 2 ? "info" : "error",
      code: String(d.code ?? ""), message: d.message, cure: null,
      line: d.range.start.line + 1, from: toOffset(view.state.doc, d.range.start),
      fixes: [...this.remedies(String(d.code ?? "")), ...actions.filter((a) => a.diagnostics?.some((of) => of.code === d.code && of.range.start.line === d.range.start.line && of.range.start.character === d.range.start.character))
        .map((a) => ({ title: a.title, apply: () => void applyEdits(view, session.language.editsOf(a.edit), "input.fix") }))],
    }));
    const known = new Set(marked.map(({ code, line }) => `${code} ${line ?? ""}`));
    const codes = new Set(marked.map(({ code }) => code));
    const bound: Listed[] = studio.now.findings
      .filter((f) => !known.has(`${f.code} ${f.line ?? ""}`) && (f.line || !codes.has(f.code)))
      .filter((f) => f.code !== NOT_TRACKED.bound || !(studio.now.connected || NOT_TRACKED.checked.some((code) => codes.has(code)))) // the check's own is on its way
      .map((f) => ({
        severity: f.severity === "error" || f.severity === "warning" ? f.severity : "info",
        code: f.code, message: f.message, cure: f.cure ?? null, line: f.line ?? null,
        from: f.line ? toOffset(view.state.doc, { line: f.line - 1, character: (f.column ?? 1) - 1 }) : null, fixes: this.remedies(f.code),
      }));
    const all = [...marked, ...bound];
    const order = { error: 0, warning: 1, info: 2 };
    all.sort((a, b) => order[a.severity] - order[b.severity] || (a.line ?? 0) - (b.line ?? 0));
    findingsList(this.findings, all, (from) => {
      session.editor.show(from);
      view.focus();
    });
    const errors = all.filter((f) => f.severity === "error").length;
    this.dock.badge("findings", all.length ? String(all.length) : "", errors ? "error" : all.length ? "warning" : "");
  }

  /** What the page itself can do about a finding. */
  private remedies(code: string): { title: string; apply(): void }[] {
    if (!TRACKABLE.includes(code)) return [];
    const track = () => {
      this.show("jobs");
      void this.work().begin("track");
    };
    return [{ title: "Track", apply: track }];
  }

  private async readPlan(): Promise<void> {
    const { path, variant } = studio.now;
    if (!path) return;
    const current = this.planTurn.begin();
    if (!this.plan.childElementCount) fill(this.plan, h("p", { class: "empty" }, "Computing the plan …"));
    try {
      const plan = await api.plan(this.session().text, variant === "all" ? null : variant);
      if (current()) showPlan(this.plan, plan, studio.now.regions, studio.now.runs, colourOf);
    } catch (error) {
      const words = h("p", { class: "empty" });
      words.append(...inline(described(error)));
      if (current()) fill(this.plan, words);
    }
  }
}
