// Another client library's decisions before hostile servers: npm oauth4webapi, the code flow with everything that it checks.
//
// node client.mjs '[{"name":"…","issuer":"http://127.0.0.1:PORT"}, …]'
//
// Prints one line of JSON: `{"name": {"accepted": true}, "other": {"accepted": false, "why": "…"}}`. The settings are those of
// our own rows: issuer configured, S256, state, nonce, ID token required and its signature verified, userinfo read at login.

import * as oauth from 'oauth4webapi';

const client = { client_id: 'cloakroom-test', [oauth.clockTolerance]: 60 };
const secret = process.env.CLIENT_SECRET;
const redirectUri = 'http://localhost:1/callback';
const insecure = { [oauth.allowInsecureRequests]: true };
const options = () => ({ ...insecure, signal: AbortSignal.timeout(5000) });

async function logIn(issuer) {
  const expected = new URL(issuer);
  const found = await oauth.discoveryRequest(expected, options());
  const as = await oauth.processDiscoveryResponse(expected, found);
  const [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()];
  const url = new URL(as.authorization_endpoint);
  for (const [name, value] of Object.entries({
    client_id: client.client_id,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  })) url.searchParams.set(name, value);

  // The browser's part.
  const sent = await fetch(url, { redirect: 'manual' });
  const back = new URL(sent.headers.get('location'));

  const params = oauth.validateAuthResponse(as, client, back, state);
  const answer = await oauth.authorizationCodeGrantRequest(
    as, client, oauth.ClientSecretBasic(secret), params, redirectUri, verifier, options());
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, { expectedNonce: nonce, requireIdToken: true });
  await oauth.validateApplicationLevelSignature(as, answer, options());
  const { sub } = oauth.getValidatedIdTokenClaims(tokens);
  const userinfo = await oauth.userInfoRequest(as, client, tokens.access_token, options());
  await oauth.processUserInfoResponse(as, client, sub, userinfo);
  if (userinfo.headers.get('content-type').startsWith('application/jwt')) {
    await oauth.validateApplicationLevelSignature(as, userinfo, options());
  }
}

const outcomes = {};
for (const { name, issuer } of JSON.parse(process.argv[2])) {
  try {
    await logIn(issuer);
    outcomes[name] = { accepted: true };
  } catch (error) {
    // A mistake of this script is no refusal. An empty `sub` is, though the library calls it a wrong argument.
    const isEmptySubject = error.message.includes('expectedSubject');
    if (!isEmptySubject && (error instanceof ReferenceError || error.code === 'ERR_INVALID_ARG_TYPE' || error.code === 'ERR_INVALID_ARG_VALUE')) throw error;
    outcomes[name] = { accepted: false, why: `${error.code ?? error.name}: ${error.message}` };
  }
}
console.log(JSON.stringify(outcomes));
