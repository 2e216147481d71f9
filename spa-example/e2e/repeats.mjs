// A reporter of node's test runner: says at the end which tests were run again because their browser had died.

/** What the diagnostic of such a test begins with. */
export const REPEATED = "run again, as its browser died: ";

/**
 * @param {AsyncIterable<{ type: string, data: any }>} events
 * @returns {AsyncGenerator<string>}
 */
export default async function* repeats(events) {
  const titles = [];
  for await (const { type, data } of events) {
    if (type === "test:diagnostic" && data.message.startsWith(REPEATED)) titles.push(data.message.slice(REPEATED.length));
  }
  if (titles.length === 0) return;
  yield `${titles.length} ${titles.length === 1 ? "test was" : "tests were"} run again, as the browser had died:\n`;
  for (const title of titles) yield `  ${title}\n`;
}
