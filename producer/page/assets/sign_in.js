// SPDX-License-Identifier: Apache-2.0
// The door: a key for a session. The key is sent once and kept nowhere on this side.

import { signIn } from "./api.js";
import { fill, h } from "./dom.js";

export function showDoor(door) {
  const said = h("p", { class: "said", id: "key-said", role: "alert" });
  const input = h("input", {
    id: "key",
    name: "key",
    type: "password",
    autocomplete: "current-password",
    required: true,
    spellcheck: "false",
    "aria-describedby": "key-hint key-said",
    autocapitalize: "none",
  });
  const button = h("button", { type: "submit", class: "button button-main" }, "Sign in");
  const user = h("input", { type: "text", name: "user", autocomplete: "username", value: "carillon", hidden: true }); // for password managers
  const form = h(
    "form",
    { novalidate: true },
    user,
    h(
      "div",
      { class: "field" },
      h("label", { for: "key" }, "API key"),
      input,
      h(
        "p",
        { class: "hint", id: "key-hint" },
        "The administrator's key, or one made for you under /api/api-keys. It decides what you may see and do.",
      ),
    ),
    said,
    button,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const key = input.value.trim();
    input.removeAttribute("aria-invalid");
    said.textContent = "";
    if (!key) {
      said.textContent = "Enter your API key.";
      input.setAttribute("aria-invalid", "true");
      input.focus();
      return;
    }
    button.setAttribute("aria-busy", "true");
    try {
      await signIn(key);
    } catch (error) {
      said.textContent =
        error.status === 401
          ? "No such key, or it has ended. Check that all of it was copied, or ask an administrator for a new one."
          : error.message;
      input.setAttribute("aria-invalid", "true");
      input.select();
      input.focus();
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  document.title = "Sign in \u2013 Carillon";
  fill(
    door,
    h(
      "main",
      { class: "door" },
      h("h1", null, "Carillon"),
      h("p", { class: "muted" }, "Sign in to see and run the calls."),
      form,
    ),
  );
  input.focus();
}
