/** Icons, drawn on a grid of 16. */

const PATHS = {
  select: "M4 2.2 12.6 8 8.6 8.9 6.6 13Z",
  point: "M8 8m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3",
  box: "M3 4h10v8H3ZM2 4h2M12 4h2M2 12h2M12 12h2",
  polygon: "M3 6 9 2.5 13.5 7 11 13 4.5 12.5Z",
  brush: "M13.5 2.5 7.5 8.5M6.2 8.8c-1.6 0-2.2 1.2-2.3 2.4-.1 1-.7 1.7-1.6 2 2.7.6 5.6-.2 5.6-2.6 0-1-.7-1.8-1.7-1.8Z",
  eraser: "M9.5 3 13.5 7 8 12.5H5L2.8 10.2 9.5 3ZM6 6.6 10 10.6M8 12.5h5.5",
  play: "M5 3v10l8-5Z",
  pause: "M5.5 3v10M10.5 3v10",
  previous: "M10.5 3.5 6 8l4.5 4.5",
  next: "M5.5 3.5 10 8l-4.5 4.5",
  keyPrevious: "M9 4 5.5 8 9 12M12.5 6 14.2 8 12.5 10 10.8 8Z",
  keyNext: "M7 4l3.5 4L7 12M3.5 6 5.2 8 3.5 10 1.8 8Z",
  key: "M8 3.5 12.5 8 8 12.5 3.5 8Z",
  eye: "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8ZM8 8m-1.8 0a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0",
  theme: "M8 2.5a5.5 5.5 0 1 0 0 11ZM8 2.5a5.5 5.5 0 0 1 0 11",
  help: "M5.8 6.1a2.2 2.2 0 1 1 3.2 2c-.7.4-1 .8-1 1.6M8 12.2v.3",
  close: "M4 4l8 8M12 4l-8 8",
  add: "M8 3.5v9M3.5 8h9",
  follow: "M3 11.5c2.5 1 4-1 4.5-3.5S10 4 12.5 4.5M11 2.8l2 1.8-2.2 1.6",
  call: "M6.5 3C4.5 4 4 6 4 8s.5 4 2.5 5M9.5 3c2 1 2.5 3 2.5 5s-.5 4-2.5 5",
  list: "M3 5h6M3 8h10M3 11h8",
  quote: "M4 6.5h2.5v3H4ZM4 6.5c0-1.2.6-2 1.8-2.3M9.5 6.5H12v3H9.5ZM9.5 6.5c0-1.2.6-2 1.8-2.3",
  value: "M8 8m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0",
  warning: "M8 2.8 14 13H2ZM8 6.5v3M8 11.3v.2",
} as const;

export type IconName = keyof typeof PATHS;

const SVG = "http://www.w3.org/2000/svg";

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `icon ${name === "play" || name === "key" ? "solid" : ""}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
