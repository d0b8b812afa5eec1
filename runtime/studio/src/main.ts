/** grain studio: the text on one side, the clip on the other. */

import { redo, undo } from "@codemirror/commands";

import { api, ApiError, described } from "./api";
import { makeBars } from "./bars";
import { h } from "./dom";
import { clamp } from "./geometry";
import { Gestures } from "./gestures";
import { makeGuide, showGuide } from "./guide";
import { showHelp } from "./help";
import { listen, regionAt, type Commands } from "./keys";
import { makeLayout } from "./layout";
import { notice, showNoticesIn } from "./notices";
import { Panels } from "./panels";
import { seek, startPlayback, step, toKeyframe } from "./playback";
import { Session } from "./session";
import { Stage } from "./stage/stage";
import { acceptDrops, chooseSpec, showStart, type Leave } from "./start";
import { dropPickOfOtherRegions, pickedShape, studio } from "./state";
import { startTheme, switchTheme } from "./theme";
import { Timeline } from "./timeline";
import { makeTopBar } from "./topbar";
import { Work } from "./work";

const nonce = document.querySelector<HTMLMetaElement>("meta[name=csp-nonce]")?.content ?? "";
const layout = makeLayout(document.getElementById("studio")!);
showNoticesIn(layout.notices);

const session: Session = new Session(layout.editor, nonce.includes("{") ? "" : nonce, {
  bind: (region, words) => gestures.bind(region, words),
  rename: (at) => void gestures.rename(at),
  findings: () => void panels.showFindings(),
  box: (box) => stage.setBox(box),
});
const gestures: Gestures = new Gestures(session);
const stage: Stage = new Stage(layout.stage, gestures);
const work = new Work(session);
const panels: Panels = new Panels(layout.dock, () => session, () => work);
const timeline = new Timeline(layout.timeline, (frame) => {
  studio.set({ playing: false });
  seek(frame);
});
gestures.refused = () => stage.pointer.cancel();
gestures.busy = work.busy = () => stage.pointer.busy;
work.showJobs = () => panels.show("jobs");

const commands: Commands = {
  tool: (tool) => {
    if (studio.now.view === "clip") studio.set({ tool, playing: false });
  },
  view: (view) => {
    if (view === "clip" || studio.now.runs.length) studio.set({ view });
    else notice("There is no run to compare yet.");
  },
  play: () => studio.set({ playing: !studio.now.playing && studio.now.clip !== null }),
  step,
  jump: (to) => seek(to === "first" ? 0 : Infinity),
  keyframe: toKeyframe,
  region: (index) => {
    const region = index === null ? null : regionAt(index);
    if (index === null || region) studio.set({ region });
  },
  brush: (factor) => studio.set({ brush: clamp(studio.now.brush * factor, 0.005, 0.6) }),
  overlay: () => studio.set({ overlay: !studio.now.overlay }),
  autoKey: () => studio.set({ autoKey: !studio.now.autoKey }),
  follow: () => studio.set({ follow: !studio.now.follow }),
  removeShape: () => {
    const shape = pickedShape();
    if (shape) gestures.remove(shape);
  },
  cancel: () => {
    stage.pointer.cancel();
    studio.set({ picked: null });
  },
  undo: (again) => void (again ? redo : undo)(session.editor.view),
  save: () => void session.save(),
  track: () => begin("track"),
  run: () => begin("run"),
  otherSide: () => (session.editor.view.hasFocus ? stage.canvas.focus() : session.editor.view.focus()),
  theme: () => {
    switchTheme();
    redraw();
  },
  guide: () => showGuide(!studio.now.guide),
  help: showHelp,
};

function begin(kind: "track" | "run"): void {
  panels.show("jobs");
  void work.begin(kind);
}

function redraw(): void {
  stage.redraw();
  timeline.redraw();
}

makeTopBar(layout.top, { ...commands, open: () => void chooseSpec(leave) });
makeBars(layout, {
  ...commands,
  runs: () => panels.show("runs"),
  region: (region) => studio.set({ region }),
  rename: (name) => {
    const region = studio.now.written.find((each) => each.name === name);
    if (region) void gestures.rename(region.from);
  },
});
makeGuide(layout.guide, (deed) => {
  if (deed === "track" || deed === "run") begin(deed);
  else if (deed === "point") commands.tool("point");
  else if (deed === "findings") panels.show("findings");
  else session.editor.showPrompt(deed);
});
const trouble = h("p", { class: "trouble", role: "alert" });
layout.stage.append(trouble);
studio.watch(["clip", "clipError"], ({ clip, clipError }) => {
  trouble.textContent = clip ? "" : clipError;
});
dropPickOfOtherRegions();
startTheme(redraw);
listen(commands);
startPlayback();
panels.start();
window.addEventListener("beforeunload", (event) => !studio.now.saved && event.preventDefault());

let startPage: HTMLElement | null = null;

studio.watch(["path"], ({ path }) => {
  if (!path) return;
  startPage?.remove();
  startPage = null;
  void work.readRuns();
});

const leave: Leave = (opening) => session.leave(opening);

async function start(): Promise<void> {
  acceptDrops(leave);
  session.language.start("api/language");
  work.start();
  try {
    session.open(await api.spec());
  } catch (error) {
    if (error instanceof ApiError && error.code === "G730") startPage = await showStart(layout.stage, leave);
    else notice(described(error), "error");
  }
}

void start();
