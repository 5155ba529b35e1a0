// SPDX-License-Identifier: Apache-2.0
// The first rows of a CSV file, for a look before it is sent: what counts is what the producer reads of it.

const DELIMITERS = [",", ";", "\t"];

function delimiterOf(line) {
  const counts = DELIMITERS.map((one) => line.split(one).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))];
}

export function firstRows(text, most) {
  const clean = text.replace(/^\uFEFF/, "");
  const delimiter = delimiterOf(clean.split(/\r?\n/, 1)[0]);
  const rows = [];
  let row = [];
  let cell = "";
  let quoted = false;
  for (let at = 0; at < clean.length && rows.length < most; at += 1) {
    const c = clean[at];
    if (quoted) {
      if (c === '"' && clean[at + 1] === '"') cell += clean[(at += 1)];
      else if (c === '"') quoted = false;
      else cell += c;
    } else if (c === '"' && cell === "") quoted = true;
    else if (c === delimiter || c === "\n") {
      row.push(cell.replace(/\r$/, ""));
      cell = "";
      if (c === "\n") {
        if (row.length > 1 || row[0] !== "") rows.push(row);
        row = [];
      }
    } else cell += c;
  }
  if (rows.length < most && (cell || row.length)) rows.push([...row, cell.replace(/\r$/, "")]);
  return rows;
}
