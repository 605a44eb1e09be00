// Asking the server. Every answer that is not one becomes an ApiError with the server's code.

export class ApiError extends Error {
  /**
   * @param {number} status 0: the server did not answer
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const KEY = "radiolucent-key", SECONDS = 20; // until a question without an answer is given up, and asked again

/** The key of this page's session: cookies go to every port of the machine, this does not, and the page keeps the one
 *  it began with when another reader enters in another tab. */
let whose = localStorage.getItem(KEY) ?? "";

/** @returns {string} the present session's key */
export const reader = () => whose;

/** All requests from now on are made for this session, also after the browser was closed. @param {string} key */
export function readAs(key) {
  whose = key;
  if (key) localStorage.setItem(KEY, key);
  else localStorage.removeItem(KEY);
}

/**
 * @param {string} path
 * @param {{method?: string, body?: unknown, as?: string, seconds?: number}} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, { method = "GET", body, as = whose, seconds = SECONDS } = {}) {
  /** @type {Record<string, string>} */
  const headers = as ? { "x-reader": as } : {};
  /** @type {RequestInit} */
  const request = { method, headers, credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(1000 * seconds) };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    headers["content-type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, request);
  } catch {
    throw new ApiError(0, "offline", "The server does not answer.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new ApiError(answer.status, told.error ?? "failure", told.message ?? "The server refused.");
}

/**
 * @param {string} path
 * @param {{method?: string, body?: unknown, as?: string}} [options]
 * @returns {Promise<any>}
 */
export async function json(path, options) {
  return (await ask(path, options)).json();
}

/**
 * Bytes with the answer's headers.
 * @param {string} path
 * @returns {Promise<{bytes: ArrayBuffer, headers: Headers}>}
 */
export async function bytes(path) {
  const answer = await ask(path, { seconds: 300 });
  return { bytes: await answer.arrayBuffer(), headers: answer.headers };
}

/**
 * Ask until what is computed behind the scenes is there.
 * @param {string} path
 * @param {() => boolean} wanted false: nobody waits any more
 * @returns {Promise<Response | null>}
 */
export async function patient(path, wanted) {
  for (let pause = 250; wanted(); pause = Math.min(pause * 1.5, 2000)) {
    const answer = await ask(path);
    if (answer.status !== 202) return answer;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  return null;
}
