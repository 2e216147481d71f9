// @ts-check
// What a code in `?auth_error=` means to the person who sees it. Whoever runs the site finds more under the request id.

/**
 * Title and text per code.
 * @type {Record<string, [string, string]>}
 */
const FAILURES = {
  login_denied: ["You were not signed in", "The sign-in was cancelled, or you did not agree to it."],
  login_failed: ["Signing in did not work", "The login server refused to finish the sign-in. Try again."],
  login_used: ["Already used", "This sign-in has been finished before. Start a new one."],
  login_expired: ["That took too long", "A sign-in has to be finished within a few minutes. Start it again."],
  login_cookie_missing: ["This browser did not start that sign-in",
    "The cookie that started it is missing: another browser, blocked cookies, or a link that was used before."],
  login_state_mismatch: ["That sign-in belongs to something else",
    "The answer of the login server does not fit the sign-in that was started here. Start it again."],
  session_cookie_missing: ["Your browser did not keep the ticket",
    "Signing in worked, but the session cookie did not come back. Allow cookies for this site."],
  repeated_login: ["Signing in goes round in circles",
    "Signing in works, and then it is asked for again at once. Another sign-in will not help; tell whoever runs this site."],
  interaction_needed: ["The login server wants to see you", "It cannot sign you in silently. Sign in with its page."],
  provider_unavailable: ["The login server cannot be reached", "Nothing is wrong with your account. Try again soon."],
  store_unavailable: ["This site cannot keep sessions at the moment", "Nothing is wrong with your account. Try again soon."],
  id_token_invalid: ["The login server's answer did not check out",
    "Its statement about you failed verification, so it was not used. Tell whoever runs this site."],
  provider_mismatch: ["The answer came by the way of another login server",
    "It was not used. Start again; if it happens again, tell whoever runs this site."],
  issuer_mismatch: ["The answer came from another login server",
    "It was not used. Start again; if it happens again, tell whoever runs this site."],
  clock: ["Two clocks disagree", "This site and the login server differ about the time. Tell whoever runs this site."],
  client_rejected: ["This site is not registered properly",
    "The login server does not accept this site's own credentials. Tell whoever runs this site."],
  code_rejected: ["The login server took its answer back",
    "It gave this site a code and then refused it. Start again; if it happens again, tell whoever runs this site."],
  step_up_failed: ["You could not be signed in that way",
    "What you wanted needs a stronger or fresher login, and the login server did not ask for one. You are still signed in as before."],
  session_too_large: ["Your session does not fit",
    "The login server hands out tokens too large for cookies. Tell whoever runs this site."],
};

/**
 * Title and text for `code`, also for one that is newer than this page.
 * @param {string} code
 * @returns {[string, string]}
 */
export function explain(code) {
  const known = Object.hasOwn(FAILURES, code) ? FAILURES[code] : undefined;
  return known ?? ["Signing in did not work", "The cause is one that this page does not know."];
}
