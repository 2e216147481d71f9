// @ts-check
// What the user wanted when the page was left for a better login: a name, never a token, and for this tab alone.

const KEY = "wanted";

/** @param {string} what */
export function remember(what) {
  sessionStorage.setItem(KEY, what);
}

/**
 * Whether that was it; asked once. A login that failed comes back with `auth_error`: then nothing is repeated.
 * @param {string} what
 */
export function remembered(what) {
  const wanted = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  return wanted === what && !new URLSearchParams(location.search).has("auth_error");
}
