// SPDX-License-Identifier: Apache-2.0
// Elements are made here and nowhere else. Text only ever becomes text nodes, so that no name or transcript can be markup.

const PROPERTIES = new Set(["value", "checked", "selected", "disabled", "hidden", "open", "required", "readOnly"]);

// h("a", {class: "x", href: "#/", onclick: f}, "text", child, [more, null])
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of [children].flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

const controls = (element) => [...element.querySelectorAll("a[href], button, input, select, summary")];

// Filled anew; of what had the focus the one in its place has it then.
export function refill(element, ...children) {
  const at = controls(element).indexOf(document.activeElement);
  fill(element, ...children);
  if (at >= 0) controls(element)[at]?.focus({ preventScroll: true });
  return element;
}

export const byId = (id) => document.getElementById(id);

let ids = 0;
export const newId = (of) => `${of}-${++ids}`;

// Said once to those who listen to the page.
export function tell(text) {
  const told = byId("told");
  told.textContent = "";
  requestAnimationFrame(() => {
    told.textContent = text;
  });
}

export function debounce(action, wait) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), wait);
  };
}

// Links of providers are foreign text: only what a browser opens as a page.
export function foreignLink(address, text) {
  let url = null;
  try {
    url = new URL(address);
  } catch {
    return h("span", null, `${text}: not a link`);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return h("span", null, `${text}: not a link`);
  return h(
    "a",
    { href: url.href, target: "_blank", rel: "noopener noreferrer", class: "foreign" },
    text,
    h("span", { class: "visually-hidden" }, " (opens in a new tab)"),
  );
}
