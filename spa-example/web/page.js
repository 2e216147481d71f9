// @ts-check
// Small things that every part of the page needs.

/**
 * The element with this id, which index.html promises.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no #${id}`);
  return found;
}

/**
 * A new element with text: text from a server is never markup.
 * @param {string} tag
 * @param {string} text
 * @param {string} [className]
 * @returns {HTMLElement}
 */
export function make(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/**
 * A progress bar by id.
 * @param {string} id
 * @returns {HTMLProgressElement}
 */
export function bar(id) {
  return /** @type {HTMLProgressElement} */ (element(id));
}
