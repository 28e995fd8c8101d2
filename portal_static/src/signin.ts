/** Sign-in by OpenID Connect: authorization code with PKCE (RFC 7636) against Entra ID, or any issuer locally.
 *  docs/adr/portal-sign-in.md says why this is not MSAL. Tokens live in this tab's session storage only. */

export interface Config {
  issuer: string;
  clientId: string;
  scope: string;
  /** Where the apps answer, without a slash at the end; empty: the portal's own origin. */
  api: string;
  identity: string;
}

interface Session {
  access: string;
  refresh: string;
  /** Milliseconds since 1970. */
  until: number;
}

interface Metadata {
  authorization_endpoint: string;
  token_endpoint: string;
  end_session_endpoint?: string;
}

const SESSION = "readfirst.session";
const PENDING = "readfirst.pending";
const REFRESH_BEFORE_MS = 60_000;

export class SignIn {
  private discovered?: Promise<Metadata>;
  private refreshing: Promise<string> | undefined;

  constructor(readonly config: Config) {}

  /** Finishes a sign-in that comes back from the issuer. Resolves to the path that the person wanted. */
  async finish(): Promise<string | undefined> {
    const answer = new URLSearchParams(location.hash.slice(1));
    const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "null") as { state: string; verifier: string; path: string } | null;
    if (!answer.has("state") || !pending) return undefined;
    sessionStorage.removeItem(PENDING);
    history.replaceState(null, "", pending.path);
    if (answer.get("state") !== pending.state) throw new Error("The sign-in did not start here. Please try again.");
    const code = answer.get("code");
    if (!code) throw new Error(answer.get("error_description") ?? "The sign-in was refused.");
    await this.fetchTokens({ grant_type: "authorization_code", code, code_verifier: pending.verifier, redirect_uri: redirectUri() });
    return pending.path;
  }

  get signedIn(): boolean {
    return this.session() !== null;
  }

  /** Leaves for the issuer's sign-in page. Never resolves. */
  async begin(path = location.pathname + location.search): Promise<never> {
    sessionStorage.removeItem(SESSION);
    const [state, verifier] = [random(), random()];
    sessionStorage.setItem(PENDING, JSON.stringify({ state, verifier, path }));
    const { authorization_endpoint } = await this.metadata();
    const query = new URLSearchParams({
      client_id: this.config.clientId,
      response_type: "code",
      response_mode: "fragment",
      redirect_uri: redirectUri(),
      scope: this.config.scope,
      state,
      code_challenge: await challenge(verifier),
      code_challenge_method: "S256",
    });
    location.assign(`${authorization_endpoint}?${query}`);
    return new Promise<never>(() => undefined);
  }

  /** An access token that is good for a minute at least. Leaves for the sign-in page where there is none. */
  async token(): Promise<string> {
    const session = this.session();
    if (!session) return this.begin();
    if (session.until - Date.now() > REFRESH_BEFORE_MS) return session.access;
    this.refreshing ??= this.refresh(session).finally(() => (this.refreshing = undefined));
    return this.refreshing;
  }

  async signOut(): Promise<void> {
    sessionStorage.removeItem(SESSION);
    const { end_session_endpoint } = await this.metadata();
    const query = new URLSearchParams({ client_id: this.config.clientId, post_logout_redirect_uri: redirectUri() });
    location.assign(end_session_endpoint ? `${end_session_endpoint}?${query}` : "/");
  }

  private async refresh(session: Session): Promise<string> {
    if (!session.refresh) return this.begin();
    try {
      return await this.fetchTokens({ grant_type: "refresh_token", refresh_token: session.refresh });
    } catch {
      return this.begin();
    }
  }

  private async fetchTokens(grant: Record<string, string>): Promise<string> {
    const { token_endpoint } = await this.metadata();
    const body = new URLSearchParams({ ...grant, client_id: this.config.clientId, scope: this.config.scope });
    const answer = await fetch(token_endpoint, { method: "POST", body });
    if (!answer.ok) throw new Error("The sign-in could not be completed. Please try again.");
    const tokens = (await answer.json()) as { access_token: string; refresh_token?: string; expires_in: number };
    const session: Session = {
      access: tokens.access_token,
      refresh: tokens.refresh_token ?? "",
      until: Date.now() + tokens.expires_in * 1000,
    };
    sessionStorage.setItem(SESSION, JSON.stringify(session));
    return session.access;
  }

  private session(): Session | null {
    return JSON.parse(sessionStorage.getItem(SESSION) ?? "null") as Session | null;
  }

  private metadata(): Promise<Metadata> {
    const address = `${this.config.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    this.discovered ??= fetch(address).then((answer) => answer.json() as Promise<Metadata>);
    return this.discovered;
  }
}

function redirectUri(): string {
  return `${location.origin}/`;
}

function random(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

async function challenge(verifier: string): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");
}
