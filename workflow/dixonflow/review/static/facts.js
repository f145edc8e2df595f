// What the tables say of a scan: its status, and what the checks object to.

import { byId, make, readable } from "./words.js";

export function showFacts(detail) {
  const facts = byId("facts");
  const line = [detail.status, detail.reason && readable(detail.reason), detail.message].filter(Boolean).join(": ");
  facts.replaceChildren(make("h3", "Scan"), make("p", line + (detail.grade ? `, grade ${detail.grade}` : "")));
  if (detail.failed || detail.review) facts.append(make("p", `${detail.failed} values failed, ${detail.review} to review`));
  if (detail.note) facts.append(make("p", detail.note));
  if (detail.objections.length) facts.append(make("h3", "Checks"));
  for (const each of detail.objections) {
    const entry = make("dl", "", { className: "check" });
    const title = make("dt", `${readable(each.check)} ${readable(each.structure)} `);
    title.append(make("span", each.grade, { className: each.grade }));
    entry.append(title, make("dd", `${each.value}${each.limit ? `, ${each.limit}` : ""}${each.place ? `, ${each.place}` : ""}`));
    if (each.advice) entry.append(make("dd", each.advice, { className: "soft" }));
    entry.title = each.definition;
    facts.append(entry);
  }
}
