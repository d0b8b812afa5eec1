/** The studio's API, as `grainspec_runtime/studio/app.py` describes it. */

import type { Plan } from "./panels/plan_words";

export interface Spec {
  path: string;
  text: string;
  version: string | number;
  root: string;
}

export interface Clip {
  path: string;
  width: number;
  height: number;
  frames: number;
  fps: number;
  /** First and last used frame, and the step between used frames. */
  used: [number, number, number];
}

export interface RegionFacts {
  name: string;
  colour: string;
  /** Of the edited part of the frame. */
  share: number | null;
  confidence: number | null;
  doubtful: boolean;
  lost: boolean;
  tracked: boolean | null;
  empty: boolean;
  use: "edit" | "keep" | "free" | null;
  phrase: string | null;
}

export interface Finding {
  code: string;
  severity: string;
  message: string;
  cure?: string | null;
  line?: number | null;
  column?: number | null;
}

export type Warning = Pick<Finding, "code" | "message" | "cure">;

export interface Regions {
  regions: RegionFacts[];
  findings: Finding[];
  mask: string | null;
  frame: number;
  box: [number, number, number, number];
}

export type JobState = "waiting" | "running" | "cancelling" | "done" | "failed" | "cancelled";

export interface Job {
  job: string;
  /** Counts the changes of the job: of two answers the later one is true. */
  revision: number;
  kind: "track" | "run";
  variant: string | null;
  state: JobState;
  stage: string | null;
  done: number;
  total: number;
  message: string | null;
  seconds: number | null;
  runs: string[];
  error: { code: string; message: string; cure?: string | null } | null;
  /** Errors, and warnings as soon as they are known. */
  findings: readonly Finding[];
  /** Cancelled where the same job goes on; else it begins again. */
  resumes: boolean;
  /** When the page was told, in milliseconds of `performance.now()`. */
  told?: number;
}

export interface Run {
  name: string;
  variant: string | null;
  made: number;
  seconds: number | null;
  /** Passes through the denoiser; null for a run that was resumed. */
  passes: number | null;
  warnings: Warning[];
  complete: boolean;
  own: boolean;
  frames: number[];
  box: [number, number, number, number];
  width: number;
  height: number;
  fps: number;
  target: string;
  report: boolean;
  /** By which its difference pictures are multiplied. */
  difference_gain: number;
  /** The settings that are not those of the run before it, such as `sampler.steps 20 → 30`. */
  changes: string[];
  /** An earlier run with the same result. */
  same: string | null;
}

/** An answer with an error: what is wrong and what to do. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly cure: string | null,
  ) {
    super(message);
  }
}

/** An error as one line for people. */
export function described(error: unknown): string {
  if (error instanceof ApiError) return [error.message, error.cure].filter(Boolean).join(". ");
  return error instanceof Error ? error.message : String(error);
}

async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as Partial<ApiError>;
  const message = body.message ?? `the server answered ${response.status}`;
  throw new ApiError(response.status, body.code ?? "", message, body.cure ?? null);
}

async function call(method: string, path: string, body?: unknown): Promise<Response> {
  const options: RequestInit = { method };
  if (body instanceof Blob) {
    options.body = body;
    options.headers = { "Content-Type": "application/octet-stream" };
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  let response: Response;
  try {
    response = await fetch(`api/${path}`, options);
  } catch {
    const cure = `Start it again with --port ${location.port}, and open its new address in another tab: this page keeps its text`;
    throw new ApiError(0, "", "No connection to `grain studio`", cure);
  }
  return checked(response);
}

const json = async <T>(method: string, path: string, body?: unknown): Promise<T> =>
  (await (await call(method, path, body)).json()) as T;

const quoted = encodeURIComponent;

export const api = {
  spec: () => json<Spec>("GET", "spec"),
  save: (path: string, text: string, version: Spec["version"]) =>
    json<{ version: Spec["version"]; gone: boolean }>("PUT", "spec", { path, text, version }),
  /** Open a spec of the folder. */
  open: (path: string) => json<Spec>("POST", "open", { path }),
  specs: () => json<{ specs: string[] }>("GET", "specs"),
  clips: () => json<{ clips: string[] }>("GET", "clips"),
  newFromPath: (clip: string) => json<Spec>("POST", "new", { clip }),
  newFromFile: (file: File) => json<Spec>("POST", `new?name=${quoted(file.name)}`, file),

  clip: (text: string) => json<Clip>("POST", "clip", { text }),
  frame: (n: number, width: number, clip: Clip): string =>
    `api/clip/frames/${n}?width=${width}&path=${quoted(clip.path)}&v=${clip.width}x${clip.frames}`,

  regions: (text: string, frame: number, variant: string | null) =>
    json<Regions>("POST", "regions", { text, frame, variant }),
  /** What a region's edit changes; `whole`: also what other regions have of it. */
  mask: (key: string, name: string, n: number, whole = false): string =>
    `api/masks/${quoted(key)}/${quoted(name)}/${n}${whole ? "?of=region" : ""}`,
  paint: (path: string, text: string, region: string, frame: number, png: string) =>
    json<{ path: string; text: string }>("POST", "masks", { path, text, region, frame, png }),
  plan: (text: string, variant: string | null) => json<Plan>("POST", "plan", { text, variant }),

  jobs: () => json<{ jobs: Job[] }>("GET", "jobs"),
  begin: (path: string, kind: Job["kind"], text: string, variant: string | null, sets: string[]) =>
    json<Job>("POST", "jobs", { path, kind, text, variant, sets }),
  cancel: (job: string) => json<Job>("DELETE", `jobs/${quoted(job)}`),

  runs: () => json<{ runs: Run[] }>("GET", "runs"),
  runFrame: (run: Run, n: number, of: "edited" | "source" | "difference"): string =>
    `api/runs/${quoted(run.name)}/frames/${n}?of=${of}&v=${run.made}`,
  report: (run: Run): string => `api/runs/${quoted(run.name)}/report`,

  picture: async (path: string): Promise<ImageBitmap> => {
    const response = await checked(await fetch(path));
    return createImageBitmap(await response.blob());
  },
};
