// A certified authorization server (npm oidc-provider) as a test peer, one per test, on loopback. Test use only.
//
// node server.mjs '{"redirect_uri":"http://localhost:8080/callback","client_secret":"…"}'
//
// Prints `ready {"issuer":"http://127.0.0.1:PORT"}` on stdout when it listens, and ends when stdin closes, so that a
// test that dies leaves nothing behind. Every setting below may be given; the ones without a default must be.
//
// `GET /test/calls` tells what the client has asked so far: `[{"endpoint":"token","grant_type":"refresh_token",…}]`.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { Provider } from 'oidc-provider';

const settings = {
  port: 0,
  client_id: 'cloakroom-test',
  // client_secret, redirect_uri: required
  post_logout_redirect_uri: undefined,
  // Where logout tokens go; none: nowhere.
  backchannel_logout_uri: undefined,
  token_endpoint_auth_method: 'client_secret_basic',
  // Where the client's public keys are, for private_key_jwt.
  jwks_uri: undefined,
  // One-time refresh tokens; the reuse of an old one ends the whole grant.
  rotate: false,
  // 'always', or 'offline_access': only when that scope was granted.
  refresh_tokens: 'always',
  // A resource indicator: access tokens become JWTs for this audience. null: opaque tokens.
  resource: null,
  resource_scope: 'sales',
  // Seconds.
  access_token_ttl: 300,
  id_token_ttl: 3600,
  // Put the claims of profile and email into the ID token; false leaves them to userinfo.
  id_token_claims: true,
  // What the client may do beside codes and refresh tokens.
  more_grants: [],
  // Access tokens are bound to a key (DPoP), and every proof must hold this server's nonce.
  dpop_nonces: false,
  // More of oidc-provider's `features`, as its manual has them.
  features: {},
  ...JSON.parse(process.argv[2] ?? '{}'),
};
for (const name of ['client_secret', 'redirect_uri']) {
  if (!settings[name]) throw new Error(`the setting ${name} is missing`);
}

const DAY = 24 * 3600;

function account(_ctx, id) {
  return {
    accountId: id,
    claims: () => ({
      sub: id,
      name: id.charAt(0).toUpperCase() + id.slice(1),
      region: id === 'bob' ? 'us' : 'eu',
      email: `${id}@example.com`,
      email_verified: true,
    }),
  };
}

function resourceIndicators() {
  if (!settings.resource) return { enabled: false };
  return {
    enabled: true,
    // A client that names no resource gets tokens for this one, at login and at refresh.
    defaultResource: () => settings.resource,
    useGrantedResource: () => true,
    getResourceServerInfo: () => ({
      scope: settings.resource_scope,
      audience: settings.resource,
      accessTokenFormat: 'jwt',
      accessTokenTTL: settings.access_token_ttl,
      jwt: { sign: { alg: 'RS256' } },
    }),
  };
}

const configuration = {
  clients: [{
    client_id: settings.client_id,
    client_secret: settings.client_secret,
    redirect_uris: [settings.redirect_uri],
    post_logout_redirect_uris: settings.post_logout_redirect_uri ? [settings.post_logout_redirect_uri] : [],
    ...(settings.backchannel_logout_uri && {
      backchannel_logout_uri: settings.backchannel_logout_uri,
      backchannel_logout_session_required: true,
    }),
    grant_types: ['authorization_code', 'refresh_token', ...settings.more_grants],
    response_types: ['code'],
    token_endpoint_auth_method: settings.token_endpoint_auth_method,
    ...(settings.jwks_uri && { jwks_uri: settings.jwks_uri, token_endpoint_auth_signing_alg: 'ES256' }),
  }],
  cookies: { keys: [settings.client_secret] },
  claims: {
    openid: ['sub'],
    profile: ['name', 'region'],
    email: ['email', 'email_verified'],
  },
  scopes: ['openid', 'profile', 'email', 'offline_access', settings.resource_scope],
  conformIdTokenClaims: !settings.id_token_claims,
  findAccount: account,
  // Its own way out refuses loopback, where the client under test is.
  fetch: (url, { dispatcher: _, ...options }) => globalThis.fetch(url, options),
  pkce: { required: () => true },
  rotateRefreshToken: settings.rotate,
  issueRefreshToken: (_ctx, client, token) => client.grantTypeAllowed('refresh_token')
    && (settings.refresh_tokens === 'always' || token.scopes.has('offline_access')),
  expiresWithSession: () => false,
  ttl: {
    AccessToken: settings.access_token_ttl,
    AuthorizationCode: 60,
    Grant: 14 * DAY,
    IdToken: settings.id_token_ttl,
    Interaction: 600,
    RefreshToken: 14 * DAY,
    Session: DAY,
  },
  features: {
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: resourceIndicators(),
    backchannelLogout: { enabled: Boolean(settings.backchannel_logout_uri) },
    ...(settings.dpop_nonces && { dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true } }),
    ...settings.features,
  },
};

// It warns of what makes a test server one: in-memory store, known keys, one-click pages. And stdout may be closed once
// the test has read the line `ready`.
console.warn = console.info = () => {};

// The issuer has the port in its name, so listen first.
const server = createServer();
server.listen(settings.port, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, configuration);
for (const event of ['server_error', 'authorization.error', 'grant.error', 'backchannel.error']) {
  provider.on(event, (_ctx, error) => console.error(`${event}: ${error.message} ${error.error_detail ?? ''}`));
}
const calls = [];
provider.use(async (ctx, next) => {
  await next();
  const { route: endpoint, params } = ctx.oidc ?? {};
  if (!['token', 'introspection', 'revocation', 'end_session_success'].includes(endpoint)) return;
  const { grant_type, resource, token_type_hint } = params ?? {};
  calls.push({ endpoint, grant_type, resource, token_type_hint, status: ctx.status });
});
const answer = provider.callback();
server.on('request', (request, response) => {
  if (request.url !== '/test/calls') answer(request, response);
  else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(calls));
});
process.stdout.write(`ready ${JSON.stringify({ issuer })}\n`);

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
process.stdin.on('close', () => process.exit(0));
