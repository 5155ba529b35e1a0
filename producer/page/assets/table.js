// SPDX-License-Identifier: Apache-2.0
// Tables. A short one is drawn whole; a long one reads its pages as they come into sight and keeps only PAGES_SHOWN of them in the
// document, with empty space for the others, however far one scrolls. Pages are known by the cursor they begin after.

import { append, fill, h, newId } from "./dom.js";
import { number, plural } from "./format.js";
import { loading, problemPanel } from "./parts.js";

const PAGE_ROWS = 50;
const PAGES_SHOWN = 6;
const MARGIN_PX = 900;

function rowOf(columns, row) {
  return h(
    "tr",
    { role: "row" },
    columns.map((column) =>
      h(
        column.header ? "th" : "td",
        {
          role: column.header ? "rowheader" : "cell",
          scope: column.header ? "row" : null,
          "data-label": column.title,
          class: column.class,
        },
        h("div", { class: "cell" }, column.cell(row)),
      ),
    ),
  );
}

function frame(columns, caption) {
  const id = newId("table");
  const head = h(
    "thead",
    { role: "rowgroup" },
    h(
      "tr",
      { role: "row" },
      columns.map((column) =>
        h(
          "th",
          { scope: "col", role: "columnheader", class: column.class },
          column.mute ? h("span", { class: "visually-hidden" }, column.title) : column.title,
        ),
      ),
    ),
  );
  const table = h(
    "table",
    { role: "table", "aria-labelledby": id },
    h("caption", { id, class: "visually-hidden" }, caption),
    head,
  );
  return { table, region: h("div", { class: "table", role: "region", "aria-labelledby": id, tabindex: "0" }, table) };
}

export function table(columns, caption, rows) {
  const made = frame(columns, caption);
  made.table.append(
    h(
      "tbody",
      { role: "rowgroup" },
      rows.map((row) => rowOf(columns, row)),
    ),
  );
  return made.region;
}

// read({after, limit, signal}) answers {rows, next}; nothing() is what to show when there is none; noun is for the count.
export function longTable({ columns, caption, read, nothing, noun = "row", signal }) {
  const made = frame(columns, caption);
  const space = () => {
    const cell = h("td", { colspan: columns.length });
    return {
      body: h(
        "tbody",
        { class: "space", "aria-hidden": "true", role: "presentation", hidden: true },
        h("tr", { role: "presentation" }, cell),
      ),
      cell,
    };
  };
  const above = space();
  const below = space();
  append(made.table, [above.body, below.body]);
  const count = h("p", { class: "muted", "aria-live": "polite" });
  const more = h("button", { type: "button", class: "button", onclick: () => step(1), hidden: true }, "Load more");
  const foot = h("div", { class: "table-foot" }, count, more);
  const message = h("div", { hidden: true });
  const element = h("div", { class: "long" }, message, made.region, foot);

  let controller = new AbortController();
  let pages = []; // {after, next, rows, height}
  let shown = []; // tbodies of pages[low..low + shown.length)
  let low = 0;
  let busy = false;
  let failed = false;

  const high = () => low + shown.length;
  const hasMore = () => high() < pages.length || pages.length === 0 || Boolean(pages.at(-1).next);
  const heightOf = (from, to) => pages.slice(from, to).reduce((sum, page) => sum + page.height, 0);

  function setSpace({ body, cell }, height) {
    body.hidden = height <= 0;
    cell.style.height = `${height}px`;
  }

  function settle() {
    setSpace(above, heightOf(0, low));
    setSpace(below, heightOf(high(), pages.length));
    const rows = pages.reduce((sum, page) => sum + page.rows, 0);
    more.hidden = !hasMore() || pages.length === 0;
    count.textContent = rows ? `${plural(rows, noun)}${pages.at(-1).next ? " so far" : ""}` : "";
    const none = pages.length > 0 && rows === 0 && !pages.at(-1).next;
    made.region.hidden = none || pages.length === 0;
    if (none) fill(message, nothing());
    else if (!failed) fill(message);
    message.hidden = !none && !failed;
  }

  function measure() {
    shown.forEach((body, n) => {
      pages[low + n].height = body.getBoundingClientRect().height;
    });
  }

  function drop(first) {
    measure();
    (first ? shown.shift() : shown.pop()).remove();
    if (first) low += 1;
  }

  async function load(at) {
    const after = pages[at] ? pages[at].after : pages.length ? pages.at(-1).next : null;
    const answer = await read({ after, limit: PAGE_ROWS, signal: controller.signal });
    pages[at] = { after, next: answer.next ?? null, rows: answer.rows.length, height: pages[at]?.height ?? 0 };
    return h(
      "tbody",
      { role: "rowgroup" },
      answer.rows.map((row) => rowOf(columns, row)),
    );
  }

  // One page down or up.
  async function step(way) {
    if (busy || (way > 0 ? !hasMore() : low === 0)) return;
    const asked = controller;
    busy = true;
    failed = false;
    made.region.setAttribute("aria-busy", "true");
    try {
      const body = await load(way > 0 ? high() : low - 1);
      if (asked.signal.aborted) return;
      if (way > 0) {
        below.body.before(body);
        shown.push(body);
      } else {
        above.body.after(body);
        shown.unshift(body);
        low -= 1;
      }
      if (shown.length > PAGES_SHOWN) drop(way > 0);
      measure();
      settle();
    } catch (error) {
      if (error.name === "AbortError" || asked.signal.aborted) return;
      failed = true;
      fill(
        message,
        problemPanel(error, () => {
          failed = false;
          message.hidden = true;
          step(way);
        }),
      );
      message.hidden = false;
    } finally {
      if (asked === controller) {
        busy = false;
        made.region.removeAttribute("aria-busy");
        if (!failed) requestAnimationFrame(look);
      }
    }
  }

  // Which page belongs where the window is; far from all that are shown one begins there anew.
  function look() {
    if (busy || failed || signal.aborted || !pages.length || !element.isConnected) return;
    const top = shown[0]?.getBoundingClientRect().top ?? above.body.getBoundingClientRect().bottom;
    const bottom = shown.at(-1)?.getBoundingClientRect().bottom ?? top;
    if ((top > innerHeight + MARGIN_PX && low > 0) || (bottom < -MARGIN_PX && high() < pages.length)) jump();
    else if (bottom < innerHeight + MARGIN_PX && hasMore()) step(1);
    else if (top > -MARGIN_PX && low > 0) step(-1);
  }

  function jump() {
    measure();
    let from = -made.table.getBoundingClientRect().top;
    let at = 0;
    while (at < pages.length - 1 && from > pages[at].height) from -= pages[at++].height;
    for (const body of shown) body.remove();
    shown = [];
    low = at;
    settle();
    step(1);
  }

  async function reset() {
    controller.abort();
    controller = new AbortController();
    busy = false;
    failed = false;
    pages = [];
    low = 0;
    const old = shown;
    shown = [];
    if (!old.length) {
      fill(message, loading());
      message.hidden = false;
    }
    made.region.setAttribute("aria-busy", "true");
    const asked = controller;
    const focused = made.table.contains(document.activeElement);
    busy = true;
    try {
      const body = await load(0);
      if (asked.signal.aborted) return;
      below.body.before(body);
      shown = [body];
      measure();
    } catch (error) {
      if (error.name === "AbortError" || asked.signal.aborted) return;
      failed = true;
      fill(message, problemPanel(error, reset));
    }
    for (const one of old) one.remove();
    if (focused) made.region.focus({ preventScroll: true });
    busy = false;
    made.region.removeAttribute("aria-busy");
    settle();
    requestAnimationFrame(look);
  }

  // What is new at the top, if that is what one looks at.
  async function refresh() {
    if (busy || failed || pages.length > 2 || low > 0 || scrollY > 300 || made.table.contains(document.activeElement))
      return;
    const asked = controller;
    busy = true;
    try {
      const answer = await read({ after: null, limit: PAGE_ROWS, signal: asked.signal });
      if (asked.signal.aborted) return;
      const body = h(
        "tbody",
        { role: "rowgroup" },
        answer.rows.map((row) => rowOf(columns, row)),
      );
      if (!shown.length || !body.isEqualNode(shown[0]) || pages.length > 1) {
        for (const one of shown) one.remove();
        below.body.before(body);
        shown = [body];
        pages = [{ after: null, next: answer.next ?? null, rows: answer.rows.length, height: 0 }];
        measure();
        settle();
      }
    } catch {
      // The next figures try again; what is shown stays.
    } finally {
      if (asked === controller) busy = false;
    }
  }

  let waiting = false;
  const onScroll = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      look();
    });
  };
  window.addEventListener("scroll", onScroll, { passive: true, signal });
  window.addEventListener("resize", onScroll, { passive: true, signal });
  signal.addEventListener("abort", () => controller.abort());
  made.region.hidden = true;
  return { element, reset, refresh, rows: () => number(pages.reduce((sum, page) => sum + page.rows, 0)) };
}
