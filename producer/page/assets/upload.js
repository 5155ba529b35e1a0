// SPDX-License-Identifier: Apache-2.0
// A file of contacts: dropped or chosen, looked at, checked by the producer without any change, sent, followed until it is
// imported. What was rejected is listed with its reasons and can be downloaded, mended and sent again.

import { currentSession, get, Problem, renewed, UNREACHABLE, url } from "./api.js";
import { firstRows } from "./csv.js";
import { fill, h, newId } from "./dom.js";
import { number, plural, size } from "./format.js";
import { card, problemPanel } from "./parts.js";
import { table } from "./table.js";

const PEEK_BYTES = 64 * 1024;
const PEEK_ROWS = 6;
const CHECK_AT_ONCE_BYTES = 16 * 1024 * 1024;
const ASK_AGAIN_MS = 700;

async function sendFile(path, file, options) {
  const asked = currentSession();
  try {
    return await sendOnce(path, file, options);
  } catch (error) {
    if (error.status !== 403 || !(await renewed(asked))) throw error;
    options.signal.throwIfAborted();
    return sendOnce(path, file, options);
  }
}

// XMLHttpRequest is what tells how much of a body has been sent.
function sendOnce(path, file, { onSent, signal }) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", path);
    xhr.setRequestHeader("Content-Type", "text/csv");
    xhr.setRequestHeader("Accept", "application/json");
    if (currentSession()?.csrf) xhr.setRequestHeader("X-CSRF-Token", currentSession().csrf);
    xhr.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onSent(event.loaded / event.total);
    });
    xhr.addEventListener("load", () => {
      let body = {};
      try {
        body = JSON.parse(xhr.responseText);
      } catch {
        body = { detail: `The producer answered ${xhr.status}.` };
      }
      if (xhr.status >= 200 && xhr.status < 300) resolve(body);
      else reject(new Problem(xhr.status, body));
    });
    xhr.addEventListener("error", () => reject(new Problem(0, { detail: UNREACHABLE })));
    xhr.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    signal.addEventListener("abort", () => xhr.abort());
    xhr.send(file);
  });
}

const wait = (ms, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("", "AbortError"));
    });
  });

// A long import is answered before it is over: its upload is asked until it is.
async function finish(campaign, answer, show, signal) {
  let upload = answer;
  while (upload.state === "applying" || upload.state === "receiving") {
    await wait(ASK_AGAIN_MS, signal);
    upload = await get(`/api/campaigns/${campaign.id}/uploads/${upload.upload}`, { signal });
    show(upload);
  }
  if (upload.state !== "done")
    throw new Problem(500, {
      detail: `The upload ${upload.state}: ${upload.reason ?? "the producer's log says why"}. Send the file again.`,
    });
  return upload;
}

function rejected(upload) {
  if (!upload.rejected) return null;
  const columns = [
    { title: "Row", header: true, class: "number", cell: (one) => number(one.row) },
    { title: "Column", cell: (one) => one.column ?? "the whole row" },
    { title: "Value", cell: (one) => one.value ?? "" },
    { title: "Reason", class: "wide", cell: (one) => one.reason },
  ];
  const left = upload.rejected - upload.rejectedRows.length;
  return h(
    "div",
    { class: "long" },
    h("h3", null, `${plural(upload.rejected, "row")} rejected`),
    table(columns, "Rejected rows", upload.rejectedRows),
    h(
      "p",
      null,
      left > 0 ? `The first ${number(upload.rejectedRows.length)}. ` : null,
      upload.rejectedUrl
        ? h(
            "a",
            { href: upload.rejectedUrl, download: `rejected-${upload.upload}.csv` },
            "Download all rejected rows as CSV",
          )
        : null,
      ", mend them, and upload that file.",
    ),
  );
}

function counts(upload, checked) {
  const parts = [
    `${plural(upload.created, "new contact")}`,
    `${number(upload.updated)} known and updated`,
    `${plural(upload.duplicates, "duplicate")} left out`,
    `${number(upload.rejected)} rejected`,
  ];
  return h(
    "p",
    { role: "status", class: `notice notice-${upload.rejected ? "warn" : "good"}` },
    `${checked ? "Checked, nothing is changed yet" : "Uploaded"}: ${plural(upload.rows, "row")}: ${parts.join(", ")}.`,
  );
}

function peek(text, name) {
  const [header, ...rows] = firstRows(text, PEEK_ROWS);
  if (!header)
    return h(
      "p",
      { class: "notice notice-warn" },
      "The file is empty. Its first row must name the columns, such as name, phone, address.",
    );
  return table(
    header.map((title, n) => ({ title: title || `column ${n + 1}`, header: n === 0, cell: (row) => row[n] ?? "" })),
    `The first rows of ${name}`,
    rows,
  );
}

export function uploadCard(campaign, { signal, done }) {
  const id = newId("file");
  const input = h("input", { type: "file", id, accept: ".csv,text/csv,text/plain", class: "visually-hidden" });
  const drop = h(
    "div",
    { class: "drop" },
    h("p", null, "Drop a CSV file here, or"),
    h("label", { for: id, class: "button file-label" }, "Choose a file"),
    input,
    h(
      "p",
      { class: "hint", id: `${id}-hint` },
      "Its first row names the columns: name, phone, time zone; any other becomes a variable of the call.",
    ),
  );
  input.setAttribute("aria-describedby", `${id}-hint`);
  const said = h("div", { class: "long", "aria-live": "polite" });
  const look = h("div", { class: "long" });
  const result = h("div", { class: "long" });
  const earlier = h("div", { class: "long", role: "status" });
  let work = null; // what the words are about: {name, check, sent, over, stop}

  // Another file takes the place of the one before; what was sent for good is imported nevertheless.
  function begin(name, check) {
    if (work?.sent && !work.check && !work.over)
      earlier.append(h("p", { class: "notice notice-warn" }, `${work.name} was sent already: its import goes on.`));
    work?.stop.abort();
    work = { name, check, sent: false, over: false, stop: new AbortController() };
    return work;
  }

  function progress(text, mine) {
    const bar = h("progress", { max: "1", "aria-label": text });
    const words = h("p", null, text);
    const stop = () => mine.stop.abort();
    const cancel = h("button", { type: "button", class: "button button-small", onclick: stop }, "Cancel");
    fill(said, words, bar, cancel);
    return {
      sent(share) {
        mine.sent = share >= 1;
        cancel.hidden = mine.sent;
        bar.value = share;
        words.textContent = share < 1 ? `${text} ${Math.round(share * 100)} %` : `${text} sent, importing\u2026`;
        if (mine.sent) bar.removeAttribute("value");
      },
      applied(upload) {
        const rows = upload.created + upload.updated + upload.duplicates + upload.rejected;
        words.textContent = `Importing: ${number(rows)} of ${plural(upload.rows, "row")}`;
        if (upload.rows) bar.value = rows / upload.rows;
      },
    };
  }

  async function run(file, check) {
    const mine = begin(file.name, check);
    const called = AbortSignal.any([mine.stop.signal, signal]);
    fill(result);
    const shown = progress(check ? `Checking ${file.name}` : `Uploading ${file.name}`, mine);
    try {
      const answer = await sendFile(
        url(`/api/campaigns/${campaign.id}/contacts`, check ? { preview: "true" } : {}),
        file,
        { onSent: shown.sent, signal: called },
      );
      mine.sent = true;
      const upload = await finish(campaign, answer, shown.applied, called);
      if (mine !== work) return;
      fill(said);
      fill(
        result,
        counts(upload, check),
        check && upload.created + upload.updated > 0 ? sendButton(file, upload) : null,
        rejected(upload),
      );
      if (!check) done();
    } catch (error) {
      if (signal.aborted || mine !== work) return;
      fill(
        said,
        error.name === "AbortError"
          ? h("p", null, mine.sent && !check ? "It was sent: its import goes on." : "Cancelled: nothing was changed.")
          : problemPanel(error, () => run(file, check)),
      );
    } finally {
      mine.over = true;
    }
  }

  const sendButton = (file, upload) =>
    h(
      "button",
      { type: "button", class: "button button-main", onclick: () => run(file, false) },
      `Upload ${plural(upload.created + upload.updated, "contact")}`,
    );

  async function take(file) {
    if (!file) return;
    const mine = begin(file.name, true);
    fill(result);
    fill(said);
    fill(look, h("p", null, h("strong", null, file.name), `, ${size(file.size)}`));
    const text = await file.slice(0, PEEK_BYTES).text();
    if (mine !== work) return;
    look.append(peek(text, file.name));
    if (file.size <= CHECK_AT_ONCE_BYTES) await run(file, true);
    else {
      fill(
        said,
        h(
          "div",
          { class: "actions" },
          h(
            "button",
            { type: "button", class: "button", onclick: () => run(file, true) },
            "Check the whole file first",
          ),
          h("button", { type: "button", class: "button button-main", onclick: () => run(file, false) }, "Upload"),
        ),
      );
    }
  }

  input.addEventListener("change", () => {
    take(input.files[0]);
    input.value = "";
  });
  const over = (on) => (event) => {
    event.preventDefault();
    drop.classList.toggle("drop-over", on);
  };
  drop.addEventListener("dragenter", over(true));
  drop.addEventListener("dragover", over(true));
  drop.addEventListener("dragleave", over(false));
  drop.addEventListener("drop", (event) => {
    over(false)(event);
    take(event.dataTransfer.files[0]);
  });
  return card("Contacts", drop, earlier, look, said, result);
}
