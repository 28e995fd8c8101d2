// Sign-in for the local stack: a certified OpenID provider with invented people, in the place of Microsoft Entra ID.
// usage: node oidc.mjs CONFIGURATION (a JSON file that readfirst/local/people.py writes)
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { timingSafeEqual } from "node:crypto";
import * as oidc from "oidc-provider";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const people = new Map(config.people.map((person) => [person.user, person]));
const HEADERS = {
  "Content-Type": "text/html; charset=utf-8",
  "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  "Cache-Control": "no-store",
};

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const page = (body) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Readfirst: local sign-in</title>
<style>body{font:16px system-ui;max-width:28rem;margin:4rem auto;padding:0 1rem}label,select,input,button{display:block;
width:100%;font:inherit;margin:.3rem 0;padding:.4rem;box-sizing:border-box}</style>${body}</html>`;

// Any page of this machine may be a client (the portal, its development server); nobody else's may.
function onThisMachine(address) {
  if (!URL.canParse(address)) return false;
  const url = new URL(address);
  return url.protocol === "http:" && ["127.0.0.1", "localhost"].includes(url.hostname);
}

// The claims as Entra ID issues them, in access tokens and ID tokens alike.
const claimsOf = ({ oid, name, user, roles, groups }) => ({ oid, name, preferred_username: user, roles, groups });

const scopes = ["access_as_user", ".default"].flatMap((name) => [name, `${config.audience}/${name}`]);
const provider = new oidc.Provider(config.issuer, {
  clients: [
    {
      client_id: config.client,
      client_name: "Readfirst portal",
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token"],
      redirect_uris: [config.portal],
      post_logout_redirect_uris: [config.portal],
    },
  ],
  jwks: { keys: [config.key] },
  cookies: { keys: [config.cookieKey] },
  claims: { openid: ["sub"], profile: ["name", "preferred_username", "oid", "roles", "groups"] },
  conformIdTokenClaims: false, // the portal reads the name from the ID token
  scopes: ["openid", "offline_access"],
  clientBasedCORS: (ctx, origin) => onThisMachine(origin),
  findAccount: (ctx, user) =>
    people.has(user) ? { accountId: user, claims: () => ({ sub: user, ...claimsOf(people.get(user)) }) } : undefined,
  extraTokenClaims: (ctx, token) => claimsOf(people.get(token.accountId)),
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed("refresh_token"),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  loadExistingGrant: grantEverything, // the portal is no third party: nobody is asked for consent
  renderError: (ctx, out) => {
    ctx.set(HEADERS);
    ctx.body = page(`<h1>Sign-in failed</h1><p>${escape(out.error)}: ${escape(out.error_description ?? "")}`);
  },
  ttl: { AccessToken: 3600, IdToken: 3600, Session: 12 * 3600, Grant: 12 * 3600, Interaction: 3600, RefreshToken: 12 * 3600 },
  features: {
    devInteractions: { enabled: false },
    rpInitiatedLogout: {
      logoutSource: (ctx, form) => {
        ctx.set(HEADERS);
        ctx.body = page(`<h1>Sign out?</h1>${form}<button type="submit" form="op.logoutForm" name="logout" value="yes">
          Sign out</button>`);
      },
    },
    resourceIndicators: {
      defaultResource: () => config.audience,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => {
        if (resource !== config.audience) throw new oidc.errors.InvalidTarget();
        return {
          scope: scopes.join(" "),
          audience: config.audience,
          accessTokenFormat: "jwt",
          accessTokenTTL: 3600,
          jwt: { sign: { alg: "RS256" } },
        };
      },
    },
  },
});
provider.Client.prototype.redirectUriAllowed = onThisMachine;
provider.Client.prototype.postLogoutRedirectUriAllowed = onThisMachine;

async function grantEverything(ctx) {
  const grant = new ctx.oidc.provider.Grant({
    clientId: ctx.oidc.client.clientId,
    accountId: ctx.oidc.session.accountId,
  });
  grant.addOIDCScope("openid profile offline_access");
  grant.addResourceScope(config.audience, scopes.join(" "));
  await grant.save();
  return grant;
}

function rightPassword(given) {
  const [a, b] = [Buffer.from(given), Buffer.from(config.password)];
  return a.length === b.length && timingSafeEqual(a, b);
}

async function formOf(request) {
  let body = "";
  for await (const chunk of request) {
    body += chunk;
    if (body.length > 4096) throw new Error("the form is too long");
  }
  return new URLSearchParams(body);
}

// The one page of our own: who are you?
async function interaction(request, response) {
  await provider.interactionDetails(request, response); // throws when there is no sign-in under way
  let problem = "";
  if (request.method === "POST") {
    const form = await formOf(request);
    const user = form.get("user") ?? "";
    if (people.has(user) && rightPassword(form.get("password") ?? "")) {
      await provider.interactionFinished(request, response, { login: { accountId: user } });
      return;
    }
    problem = "<p role='alert'>Wrong user or password. <code>readfirst up</code> shows the password.</p>";
  }
  const options = [...people.values()].map((p) => `<option value="${escape(p.user)}">${escape(p.name)}</option>`);
  response.writeHead(problem ? 401 : 200, HEADERS);
  response.end(
    page(`<h1>Local sign-in</h1>${problem}<form method="post"><label>User<select name="user">${options.join("")}</select>
      </label><label>Password<input name="password" type="password" autocomplete="current-password" required></label>
      <button>Sign in</button></form>`),
  );
}

const openid = provider.callback();
const server = createServer((request, response) => {
  if (!request.url.startsWith("/interaction/")) return openid(request, response);
  interaction(request, response).catch((error) => {
    response.writeHead(400, HEADERS);
    response.end(page(`<h1>Sign-in failed</h1><p>${escape(error.message)}. Go back and sign in again.`));
  });
});
server.listen(config.port, "127.0.0.1", () => console.log(`OpenID provider at ${config.issuer}`));
process.on("SIGTERM", () => process.exit(0));
