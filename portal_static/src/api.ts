/** The portal's only way to its servers: typed calls, problems as errors, ETags where a list is polled. */

import { SignIn, type Config } from "./signin.js";

export type Label =
  | "flagged"
  | "not flagged by AI (does not exclude disease)"
  | "READ IN PART: read as usual"
  | "NOT ANALYSED: read as usual";
export type ReviewState = "unread" | "in progress" | "signed";

/** How far an analysis under way is. `waiting`: nobody works on it at this moment. */
export interface Progress {
  stage: "waiting" | "download" | "decode" | "infer" | "write" | "done";
  /** Of the whole, 0 to 1. */
  share: number;
}

/** A line of the worklist. */
export interface StudyLine {
  id: string;
  clinic: string;
  handle: string;
  state: string;
  label: Label;
  reason: string;
  partial: boolean;
  /** How much was read, where it was not all: "67 of 74 slices". Absent in what was written by older versions. */
  part?: string;
  instances: number;
  modality: string;
  body_part: string;
  priority: "stat" | "routine";
  purpose: "current" | "prior";
  received: string;
  due: string;
  risk: number;
  high_risk: boolean;
  why: string;
  review: ReviewState;
  /** Null where no analysis is under way. */
  progress: Progress | null;
  /** 0: past its maximum wait, 1: high risk, 2: the rest. */
  band: 0 | 1 | 2;
}

/** What became of every file received, and of every frame of the files read. Reasons are codes. */
export interface Accounting {
  received: number;
  read: number;
  left_out: Record<string, number>;
  refused: Record<string, number>;
  skipped: Record<string, number>;
  identical: number;
  frames: number;
  analysed: number;
  frames_left_out: Record<string, number>;
  unsaid: string[];
}

export interface Finding {
  key: string;
  kind: string;
  concept: { value: string; scheme: string; meaning: string };
  category: 1 | 2 | 3;
  probability: number;
  diameter_mm: number;
  volume_mm3: number;
  site: string;
  series_uid: string;
  sop_uid: string;
  frame: number;
  slice: number;
  box: { left: number; top: number; right: number; bottom: number };
  overlay: string;
}

export interface Model {
  name: string;
  version: string;
  digest: string;
  intended_use: "triage" | "detection";
  disclaimer: string;
}

export interface Study extends Omit<StudyLine, "band" | "progress"> {
  patient: string;
  study_uid: string;
  run: number;
  refused: Record<string, number>;
  /** Files that said the same as one of the instances. */
  copies?: number;
  /** What the files do not agree on about their one patient, as codes. */
  disagree?: string[];
  /** Null or absent in records of older versions. */
  accounting?: Accounting | null;
  findings: Finding[];
  alerted: string;
  provenance: {
    readfirst: string;
    engine: string;
    table: string;
    profile: string;
    model: Model | null;
    run_key: string;
    seconds: Record<string, number>;
  } | null;
}

export interface Verdict {
  kind: "verdict";
  finding: string;
  verdict: "accept" | "reject" | "correct";
  diameter_mm?: number | null;
  category?: 1 | 2 | 3 | null;
  site?: string;
  comment?: string;
}

export interface Missed {
  kind: "missed";
  what: string;
  site?: string;
  category: 1 | 2 | 3;
  diameter_mm?: number | null;
  series_uid: string;
  sop_uid: string;
  slice: number;
  comment?: string;
}

export interface Measured {
  kind: "measured";
  tool: "length" | "ellipse";
  series_uid: string;
  sop_uid: string;
  points: [number, number, number][];
  value: number;
  unit: "mm" | "mm2" | "px" | "px2";
}

export interface Told {
  kind: "told";
  who: string;
  how: string;
  when: string;
  read_back: boolean;
  note?: string;
}

export type ReviewEvent = Verdict | Missed | Measured | { kind: "opened" | "signed" } | { kind: "commented"; text: string } | { kind: "reopened"; reason: string };

export interface Review {
  version: number;
  state: ReviewState;
  reader_name: string;
  signed: string;
  superseded: boolean;
  verdicts: Record<string, Verdict>;
  missed: Missed[];
  measurements: Measured[];
  told: Told[];
}

export interface StudyDetail {
  study: Study;
  /** Key of the finding to look at first; empty where there is none. */
  first: string;
  review: Review;
  progress: Progress | null;
  events: { number: number; at: string; by_name: string; what: { kind: string; text?: string } }[];
  timeline: { at: string; what: string; by: string; seconds: number | null }[];
  priors: { id: string; handle: string; modality: string; body_part: string; label: Label; review: ReviewState; instances: number; days: number | null }[];
  cost: { usd: number; job_seconds: number; profile: string; prices: string; lines: { what: string; quantity: number; per: string; usd: number }[] };
}

export interface ImageSeries {
  series_uid: string;
  modality: string;
  number: number | null;
  description: string;
  /** `at`: where the slice lies along the series' normal, in mm. */
  instances: { sop_uid: string; frames: number; image: boolean; at: number | null; url: string }[];
}

/** One picture of the stack: an image, or a frame of one that has several (`frame` counts from 1; 0 where it has but one). */
export interface Picture {
  sop_uid: string;
  frame: number;
  /** How the segmented pixels name it. */
  key: string;
  at: number | null;
  url: string;
}

export function imagesOf(series: ImageSeries): Picture[] {
  return series.instances.filter((i) => i.image).flatMap(({ sop_uid, frames, at, url }) =>
    frames > 1
      ? Array.from({ length: frames }, (_, i) => ({ sop_uid, frame: i + 1, key: `${sop_uid}#${i + 1}`, at: null, url: `${url}&frame=${i + 1}` }))
      : [{ sop_uid, frame: 0, key: sop_uid, at, url }],
  );
}

/** Runs of pixels of a segmented finding: instance → [row, first column, length][]. */
export type Mask = Record<string, [number, number, number][]>;

export interface Me {
  id: string;
  name: string;
  roles: string[];
  clinics: { id: string; name: string }[];
  may: string[];
}

/** An answer that is no success, with the server's own words (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

export interface Tagged<T> {
  body: T;
  etag: string;
}

/** The ETag stands in the body: across origins a page does not see the header. */
async function tagged<T>(answer: Response): Promise<Tagged<T>> {
  const body = (await answer.json()) as T & { etag?: string };
  return { body, etag: body.etag ?? "" };
}

export class Api {
  constructor(
    readonly signIn: SignIn,
    private readonly config: Config,
  ) {}

  static async start(): Promise<Api> {
    const answer = await fetch("/config.json");
    if (!answer.ok) throw new Error("The portal was deployed without its addresses: whoever deploys it runs `azd deploy portal`.");
    const config = (await answer.json()) as Config;
    return new Api(new SignIn(config), config);
  }

  async get<T>(path: string): Promise<T> {
    return (await this.tagged<T>(path)).body;
  }

  async tagged<T>(path: string): Promise<Tagged<T>> {
    const answer = await this.call("GET", path);
    return tagged<T>(answer);
  }

  /** Undefined where nothing changed since `etag`. */
  async changed<T>(path: string, etag: string): Promise<Tagged<T> | undefined> {
    const answer = await this.call("GET", path, undefined, etag ? { "If-None-Match": etag } : {});
    if (answer.status === 304) return undefined;
    return tagged<T>(answer);
  }

  async post<T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Tagged<T>> {
    const answer = await this.call("POST", path, JSON.stringify(body), headers);
    return tagged<T>(answer);
  }

  /** An object URL of a picture (or of what else `accept` names); the caller revokes it. */
  async picture(path: string, accept = "image/*"): Promise<string> {
    return URL.createObjectURL(await (await this.call("GET", path, undefined, { Accept: accept })).blob());
  }

  private async call(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Response> {
    const base = /^\/(identity|quarantine|uploads)/.test(path) ? this.config.identity : this.config.api;
    const all = { ...headers, Authorization: `Bearer ${await this.signIn.token()}`, ...(body ? { "Content-Type": "application/json" } : {}) };
    let answer: Response;
    try {
      answer = await fetch(`${base}/api${path}`, { method, headers: all, cache: "no-store", ...(body ? { body } : {}) });
    } catch {
      throw new Problem(0, "offline", "The server cannot be reached. Check the connection; nothing was saved.");
    }
    if (answer.ok || answer.status === 304) return answer;
    if (answer.status === 401) return this.signIn.begin();
    const problem = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string };
    throw new Problem(answer.status, problem.code ?? "unknown", problem.detail ?? `The server answered ${answer.status}.`);
  }
}
