// The agreement of two raters, over what both rated.

import { getJson } from "./api.js";
import { byId, fill, make, readable } from "./words.js";

const rounded = (value) => (value === null ? "-" : value.toFixed(2));
const interval = ({ value, low, high }) => (value === null || low === null ? rounded(value) : `${rounded(value)} (${rounded(low)} to ${rounded(high)})`);

export async function showAgreement(session) {
  const { raters } = await getJson("/api/session");
  const pairs = raters.map((name) => [name, name]);
  const others = raters.filter((name) => name !== session.rater);
  fill(byId("first"), pairs, byId("first").value || session.rater);
  fill(byId("second"), pairs, byId("second").value || others[0]);
  if (others.length && byId("second").value === byId("first").value) byId("second").value = others[0];
  byId("first").onchange = byId("second").onchange = draw;
  await draw();
}

async function draw() {
  const [first, second] = [byId("first").value, byId("second").value];
  const box = byId("agreement");
  if (!first || first === second) {
    box.replaceChildren(make("p", "Agreement needs ratings of two raters."));
    return;
  }
  const rows = await getJson(`/api/agreement?${new URLSearchParams({ first, second })}`);
  const table = make("table");
  table.append(make("caption", "Cohen's kappa with its 95 % interval; weighted: good against faulty counts twice."));
  const head = make("tr");
  for (const title of ["Structure", "Rated by both", "Participants", "Equal", "Kappa", "Weighted kappa", ""]) head.append(make("th", title, { scope: "col" }));
  table.append(head);
  for (const row of rows) {
    const line = make("tr");
    const name = row.structure === "all" ? "everything" : row.structure ? readable(row.structure) : "whole label map";
    line.append(make("th", name, { scope: "row" }));
    const equal = row.agreement === null ? "-" : `${(100 * row.agreement).toFixed(0)} %`;
    for (const text of [row.n, row.participants, equal, interval(row.unweighted), interval(row.linear), row.undefined]) line.append(make("td", String(text)));
    table.append(line);
  }
  box.replaceChildren(table);
}
