// SPDX-License-Identifier: Apache-2.0
// Requests to the producer with the session's cookie, and what the session may do. A refusal is a Problem that names every
// field that is wrong; a request that was called off rejects with the AbortError of fetch.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || body.error || `The producer answered ${status}.`);
    this.status = status;
    this.body = body;
    this.errors = Array.isArray(body.errors) ? body.errors : [];
  }
}

export const UNREACHABLE =
  "The producer can't be reached. Check that it runs and that this machine is connected; then try again.";

const READ_MS = 15000; // a connection that swallows everything would keep a reader for ever

let session = null;
const onSession = new Set();

// Another key signed in in another tab: what was meant for the one is not done in the name of the other.
const ANOTHER = "Another key was signed in meanwhile, in another tab. It was not done: look at what is shown now.";

const who = (one) => JSON.stringify(one && [one.admin, one.role, one.tenant]);
export const sameIdentity = (one, other) => who(one) === who(other);

export const currentSession = () => session;
export const mayOperate = () => session !== null && session.role !== "read";
export const seesAll = () => session !== null && !session.tenant;
export const isAdmin = () => session?.admin === true;
export const watchSession = (action) => onSession.add(action);

function setSession(next) {
  const before = session;
  session = next;
  for (const action of onSession) action(next, before);
}

export function url(path, query) {
  const given = Object.entries(query ?? {}).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

async function send(method, path, { query, json, body, type, signal, accept }) {
  const headers = { Accept: accept };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  else if (type) headers["Content-Type"] = type;
  if (method !== "GET" && session?.csrf) headers["X-CSRF-Token"] = session.csrf;
  return reached(
    fetch(url(path, query), {
      method,
      headers,
      signal,
      body: json !== undefined ? JSON.stringify(json) : body,
      credentials: "same-origin",
      redirect: "error",
      cache: "no-store",
    }),
  );
}

async function reached(work) {
  try {
    return await work;
  } catch (error) {
    if (error.name === "AbortError" || error.name === "SyntaxError") throw error;
    throw new Problem(0, { detail: UNREACHABLE });
  }
}

async function refusal(answer) {
  let body = {};
  try {
    body = await answer.json();
  } catch {
    body = { detail: `The producer answered ${answer.status}.` };
  }
  return new Problem(answer.status, body);
}

// After a 403: whether the same one signed in anew in another tab, which made another token; then it is worth a repetition.
export async function renewed(asked) {
  await resume();
  if (!session || !asked || session.csrf === asked.csrf) return false;
  if (!sameIdentity(session, asked)) throw new Problem(403, { detail: ANOTHER });
  return true;
}

// The answer itself, for what is no JSON; it may take as long as it takes.
export async function open(method, path, options = {}) {
  const asked = session;
  let answer = await send(method, path, { accept: "application/json", ...options });
  if (answer.status === 403 && method !== "GET" && (await renewed(asked)))
    answer = await send(method, path, { accept: "application/json", ...options });
  if (answer.ok) return answer;
  if (answer.status === 401 && session) setSession(null);
  throw await refusal(answer);
}

const inTime = (signal) => AbortSignal.any([AbortSignal.timeout(READ_MS), signal].filter(Boolean));

export async function request(method, path, options = {}) {
  const answer = await open(method, path, method === "GET" ? { ...options, signal: inTime(options.signal) } : options);
  return answer.status === 204 ? null : reached(answer.json());
}

export const get = (path, options) => request("GET", path, options);
export const post = (path, json, options) => request("POST", path, { json: json ?? {}, ...options });

// ---- The session -----------------------------------------------------------------------------------------------------

// Who is signed in; a role of null is nobody. Where no key is configured everybody may come in.
export async function resume(signal) {
  const found = await get("/api/session", { signal });
  setSession(found.role ? found : null);
  return session;
}

export async function signIn(key) {
  const answer = await send("POST", "/api/session", { json: { key }, accept: "application/json" });
  if (!answer.ok) throw await refusal(answer);
  setSession(await answer.json());
}

export async function signOut() {
  try {
    await request("DELETE", "/api/session");
  } catch (error) {
    if (error.status !== 401) throw error;
  }
  setSession(null);
}
