"use strict";
// The clips of a group play, pause and seek together.
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
for (const group of document.querySelectorAll("[data-together]")) {
  const clips = [...group.querySelectorAll("video")];
  const [lead] = clips;
  const others = (clip) => clips.filter((other) => other !== clip);
  const meet = (from, to, slack) => {
    if (Math.abs(to.currentTime - from.currentTime) > slack) to.currentTime = from.currentTime;
  };
  for (const clip of clips) {
    clip.addEventListener("play", () => others(clip).forEach((other) => other.play().catch(() => {})));
    clip.addEventListener("pause", () => others(clip).forEach((other) => other.pause()));
    clip.addEventListener("seeked", () => {
      if (clip.paused) others(clip).forEach((other) => meet(clip, other, 0.01));
    });
    if (calm) clip.pause();
  }
  if (!lead) continue;
  lead.addEventListener("timeupdate", () => {
    const slack = Math.min(0.15, lead.duration / 4);
    const near = lead.currentTime < slack || lead.currentTime > lead.duration - slack;
    if (!lead.paused && !near) others(lead).forEach((other) => meet(lead, other, slack));
  });
}
