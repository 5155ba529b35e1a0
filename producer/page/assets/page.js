// SPDX-License-Identifier: Apache-2.0
// The frame around the views: who is signed in, where one can go, whether the figures still arrive, and the stop switch.

import { currentSession, resume, sameIdentity, signOut, watchSession } from "./api.js";
import { byId, fill, h, tell } from "./dom.js";
import { duration, few, moment, zone, zoneName } from "./format.js";
import { onConnection, onFigures, startLive, stopLive, tryAgain } from "./live.js";
import { ask, problemPanel } from "./parts.js";
import { leave, show, startRouter } from "./router.js";
import { showDoor } from "./sign_in.js";
import { startStop, stopShown } from "./stop.js";

const VIEWS = [
  ["", "Now"],
  ["campaigns", "Campaigns"],
  ["calls", "Calls"],
  ["leads", "Leads"],
  ["redial", "Redial queue"],
  ["workflow", "Workflow"],
  ["undetermined", "Undetermined", "undetermined"],
  ["dead-letters", "Dead letters", "deadLetters"],
];

const badges = new Map();

function buildNav() {
  fill(
    byId("views"),
    VIEWS.map(([path, text, figure]) => {
      const badge = figure ? h("span", { class: "badge", hidden: true }) : null;
      if (badge) badges.set(figure, badge);
      return h("li", null, h("a", { href: `#/${path}`, "data-view": path }, text, badge));
    }),
  );
  const menu = byId("menu");
  const nav = byId("nav");
  menu.addEventListener("click", () => {
    const open = menu.getAttribute("aria-expanded") !== "true";
    menu.setAttribute("aria-expanded", String(open));
    nav.classList.toggle("nav-open", open);
  });
  nav.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || menu.getAttribute("aria-expanded") !== "true") return;
    menu.click();
    menu.focus();
  });
}

function markRoute(first) {
  for (const link of byId("views").querySelectorAll("a")) {
    if (link.dataset.view === first) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("menu").setAttribute("aria-expanded", "false");
  byId("nav").classList.remove("nav-open");
}

function showBadges(figures) {
  for (const [name, badge] of badges) {
    const count = figures[name] ?? 0;
    badge.hidden = count === 0;
    fill(badge, few(count), h("span", { class: "visually-hidden" }, " open"));
  }
}

const roleOf = (session) => (session.admin ? "Administrator" : session.role === "operate" ? "Operator" : "Read only");
const reachOf = (session) => (session.tenant ? `tenant ${session.tenant}` : "all tenants");

function showAccount(session) {
  fill(
    byId("account"),
    h("p", null, h("strong", null, roleOf(session)), `, ${reachOf(session)}`),
    h("p", { class: "muted" }, `Times are ${zoneName()}`, h("br"), zone.replaceAll("_", " ")),
    h(
      "button",
      {
        type: "button",
        class: "button button-small",
        onclick: async () => {
          try {
            await signOut();
          } catch (error) {
            await ask({ title: "You are still signed in", text: error.message, confirm: "OK", kind: "" });
          }
        },
      },
      "Sign out",
    ),
  );
}

let regained = 0;

// A short line in the header at all times; a banner when figures stop, and for a while when they are back.
function showConnection(state) {
  const line = byId("link");
  const banner = byId("connection");
  const texts = { on: "Live", connecting: "Connecting", lost: "Not connected", resting: "Paused", off: "" };
  line.textContent = texts[state.name];
  line.className = `link link-${state.name}`;
  if (state.name === "lost") {
    clearTimeout(regained);
    banner.className = "banner banner-bad";
    const text = `Connection lost at ${moment(state.lostAt)}. What you see may be old. Trying again by itself. `;
    if (banner.hidden || !banner.firstChild || banner.dataset.state !== "lost") {
      banner.dataset.state = "lost";
      fill(
        banner,
        h("span", null, text),
        h("button", { type: "button", class: "button button-small", onclick: () => tryAgain() }, "Try now"),
      );
      tell(text);
    }
    banner.hidden = false;
  } else if (state.name === "on" && state.since) {
    banner.className = "banner banner-good";
    banner.dataset.state = "regained";
    const text = `Connection regained after ${duration((Date.now() - state.since.getTime()) / 1000)}. The figures are live again.`;
    fill(banner, text);
    tell(text);
    banner.hidden = false;
    clearTimeout(regained);
    regained = setTimeout(() => {
      banner.hidden = true;
    }, 6000);
  } else if (state.name === "off") {
    banner.hidden = true;
  }
}

// Another tab of this browser signed in: nothing that is shown is this session's.
function changeIdentity(session) {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  stopLive();
  startStop();
  startLive();
  show();
  ask({
    title: "Another key was signed in",
    text: `It was done in another tab, and this one is now its, too: ${roleOf(session)}, ${reachOf(session)}. What was asked for last may not have been done.`,
    confirm: "OK",
    kind: "button-main",
  });
}

function enter(session, before) {
  const door = byId("door");
  const shell = byId("shell");
  if (session) {
    showAccount(session);
    if (!shell.hidden) {
      if (before && !sameIdentity(session, before)) changeIdentity(session);
      return;
    }
    door.hidden = true;
    fill(door);
    shell.hidden = false;
    startStop();
    startLive();
    show({ focus: door.dataset.used === "true" });
  } else {
    stopLive();
    leave();
    shell.hidden = true;
    stopShown(null);
    fill(byId("main"));
    door.hidden = false;
    door.dataset.used = "true";
    showDoor(door);
  }
}

async function begin() {
  const door = byId("door");
  try {
    if (!(await resume())) enter(null);
  } catch (error) {
    door.hidden = false;
    fill(door, h("main", { class: "door" }, h("h1", null, "Carillon"), problemPanel(error, begin)));
  }
}

byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  (currentSession() ? byId("main") : byId("door").querySelector("input"))?.focus();
});
// Banners make the header higher.
new ResizeObserver(([entry]) => {
  const height = entry.borderBoxSize[0].blockSize;
  if (height) document.documentElement.style.setProperty("--head-height", `${height}px`);
}).observe(byId("head"));
buildNav();
startRouter(markRoute);
onFigures(showBadges);
onConnection(showConnection);
watchSession(enter);
begin();
