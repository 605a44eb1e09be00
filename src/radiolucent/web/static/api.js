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

/** Whose page this is: the cookie is the browser's, and another reader may have entered in another tab. */
let whose = "";

/** @returns {string} the present reader's key */
export const reader = () => whose;

/** @param {string} key the reader that all requests from now on are made for */
export function readAs(key) { whose = key; }

/**
 * @param {string} path
 * @param {{method?: string, body?: unknown, as?: string}} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, { method = "GET", body, as = whose } = {}) {
  /** @type {Record<string, string>} */
  const headers = as ? { "x-reader": as } : {};
  /** @type {RequestInit} */
  const request = { method, headers, credentials: "same-origin", redirect: "error" };
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
  const answer = await ask(path);
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
