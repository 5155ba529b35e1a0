// SPDX-License-Identifier: Apache-2.0
// Which view an address means: #/calls?status=failed. A view is a module whose default function builds it into `root`; it is
// loaded when first asked for. Its `signal` is aborted when another takes its place, and with it all that it fetches.

import { byId, fill, h } from "./dom.js";
import { problemPanel } from "./parts.js";

const ROUTES = [
  ["", "now.js", "Now"],
  ["campaigns", "campaigns.js", "Campaigns"],
  ["campaigns/new", "campaign_form.js", "New campaign"],
  ["campaigns/:id", "campaign.js", "Campaign"],
  ["campaigns/:id/edit", "campaign_form.js", "Edit campaign"],
  ["calls", "calls.js", "Calls"],
  ["calls/:id", "call.js", "Call"],
  ["leads", "leads.js", "Leads"],
  ["leads/:id", "lead.js", "Lead"],
  ["redial", "redial.js", "Redial queue"],
  ["workflow", "workflow.js", "Workflow"],
  ["workflow/:id", "pending_call.js", "Pending call"],
  ["undetermined", "undetermined.js", "Undetermined calls"],
  ["dead-letters", "dead_letters.js", "Dead letters"],
  ["dead-letters/:id", "dead_letter.js", "Dead letter"],
].map(([path, module, title]) => ({ parts: path.split("/").filter(Boolean), module, title }));

let current = null;
let onRoute = () => {};

export function parse(hash) {
  const [path, query] = (hash.startsWith("#/") ? hash.slice(2) : "").split("?");
  return {
    parts: path.split("/").filter(Boolean).map(decodeURIComponent),
    query: Object.fromEntries(new URLSearchParams(query ?? "")),
  };
}

export function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return `#/${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

export const go = (path, query) => {
  location.hash = address(path, query);
};

// The filters of the view that is shown, without making it anew; `step` is a step back for the browser.
export function setQuery(query, { step = true } = {}) {
  const path = parse(location.hash).parts.map(encodeURIComponent).join("/");
  const next = address(path, query);
  if (next === location.hash) return;
  if (step) history.pushState(null, "", next);
  else history.replaceState(null, "", next);
}

function find(parts) {
  for (const route of ROUTES) {
    if (route.parts.length !== parts.length) continue;
    const params = {};
    if (route.parts.every((part, n) => (part.startsWith(":") ? (params[part.slice(1)] = parts[n]) : part === parts[n])))
      return { route, params };
  }
  return null;
}

export function setTitle(text) {
  document.title = `${text} \u2013 Carillon`;
}

export async function show({ focus = true } = {}) {
  const { parts, query } = parse(location.hash);
  const main = byId("main");
  const found = find(parts);
  leave();
  const controller = new AbortController();
  current = controller;
  onRoute(parts[0] ?? "");
  const root = h("div", { class: "view" });
  fill(main, root);
  window.scrollTo(0, 0);
  if (!found) {
    setTitle("Not found");
    fill(
      root,
      h("h1", { tabindex: "-1" }, "There is no such view"),
      h("p", null, "The address names none. ", h("a", { href: "#/" }, "Go to Now"), "."),
    );
    return;
  }
  setTitle(found.route.title);
  try {
    const view = await import(`./${found.route.module}`);
    if (controller.signal.aborted) return;
    await view.default({ root, params: found.params, query, signal: controller.signal, title: found.route.title });
  } catch (error) {
    if (controller.signal.aborted) return;
    fill(
      root,
      h("h1", { tabindex: "-1" }, found.route.title),
      problemPanel(error, () => show()),
    );
  }
  if (focus && !controller.signal.aborted && !root.contains(document.activeElement))
    root.querySelector("h1")?.focus({ preventScroll: true });
}

export function leave() {
  current?.abort();
  current = null;
}

export function startRouter(action) {
  onRoute = action;
  window.addEventListener("hashchange", () => {
    if (current && (location.hash === "" || location.hash.startsWith("#/"))) show();
  });
}
