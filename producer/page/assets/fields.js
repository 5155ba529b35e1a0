// SPDX-License-Identifier: Apache-2.0
// A form whose fields are rows of a table. What the API says is wrong with a field is shown beside it, all at once.

import { fill, h, newId } from "./dom.js";

// fields: {name, label, type, hint, options, list, attributes}; answers {element, values(), refuse(problem), set(values)}.
export function fields(specifications, values, { onChange = () => {} } = {}) {
  const made = new Map();
  const elements = specifications.map((one) => {
    const id = newId(one.name);
    const said = h("p", { class: "said", id: `${id}-said` });
    const describedby = [one.hint ? `${id}-hint` : null, `${id}-said`].filter(Boolean).join(" ");
    const value = values[one.name] ?? one.default ?? "";
    let input;
    if (one.type === "select") {
      input = h(
        "select",
        { id, "aria-describedby": describedby },
        one.options.map(([key, text]) => h("option", { value: key, selected: key === String(value) }, text)),
      );
    } else if (one.type === "check") {
      input = h("input", { id, type: "checkbox", checked: value === true, "aria-describedby": describedby });
    } else {
      input = h("input", {
        id,
        type: one.type ?? "text",
        value: String(value),
        "aria-describedby": describedby,
        list: one.list,
        autocomplete: "off",
        ...one.attributes,
      });
    }
    input.addEventListener("input", () => {
      input.removeAttribute("aria-invalid");
      said.textContent = "";
      onChange();
    });
    made.set(one.name, { one, input, said });
    const label = h("label", { for: id }, one.label);
    const hint = one.hint ? h("p", { class: "hint", id: `${id}-hint` }, one.hint) : null;
    return one.type === "check"
      ? h("div", { class: "field" }, h("div", { class: "check" }, input, label), hint, said)
      : h("div", { class: "field" }, label, input, hint, said);
  });
  return {
    elements,
    input: (name) => made.get(name).input,
    values() {
      const given = {};
      for (const [name, { one, input }] of made) {
        const text = input.value.trim();
        if (one.type === "check") given[name] = input.checked;
        else if (text === "") given[name] = null;
        else given[name] = one.type === "number" ? Number(text) : text;
      }
      return given;
    },
    // Errors of fields that are not here are answered back.
    refuse(errors) {
      for (const { input, said } of made.values()) {
        input.removeAttribute("aria-invalid");
        said.textContent = "";
      }
      let first = null;
      const others = [];
      for (const { field, detail } of errors) {
        const known = made.get(field);
        if (!known) {
          others.push({ field, detail });
          continue;
        }
        known.said.textContent = known.said.textContent ? `${known.said.textContent}; ${detail}` : detail;
        known.input.setAttribute("aria-invalid", "true");
        first ??= known.input;
      }
      first?.focus();
      return others;
    },
  };
}

export function errorSummary(element, error, others) {
  const count = error.errors.length;
  fill(
    element,
    h(
      "div",
      { class: "problem", role: "alert" },
      h(
        "p",
        { class: "problem-title" },
        count ? `Not saved: ${count === 1 ? "one thing has" : `${count} things have`} to be mended.` : "Not saved.",
      ),
      count && others.length === 0 ? null : h("p", null, count ? null : error.message),
      others.length
        ? h(
            "ul",
            null,
            others.map((one) => h("li", null, h("strong", null, one.field), `: ${one.detail}`)),
          )
        : null,
    ),
  );
}
