/** The portal's only way to its servers: typed calls, problems as errors, ETags where a list is polled. */

import { API } from "./address.js";
import { SignIn, type Config } from "./signin.js";

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

/** The ETag is in the body: across origins a page does not see the header. */
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
    const all = {
      ...headers,
      Authorization: `Bearer ${await this.signIn.token()}`,
      ...(body ? { "Content-Type": "application/json" } : {}),
    };
    let answer: Response;
    try {
      answer = await fetch(`${base}${API}${path}`, { method, headers: all, cache: "no-store", ...(body ? { body } : {}) });
    } catch {
      throw new Problem(0, "offline", "The server cannot be reached. Check the connection; nothing was saved.");
    }
    if (answer.ok || answer.status === 304) return answer;
    if (answer.status === 401) return this.signIn.begin();
    const problem = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string };
    throw new Problem(answer.status, problem.code ?? "unknown", problem.detail ?? `The server answered ${answer.status}.`);
  }
}
