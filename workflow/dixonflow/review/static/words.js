// Small pieces of the page, and how its words are written.

export const byId = (id) => document.getElementById(id);

export const readable = (word) => word.replaceAll("_", " ");

export const number = (value) => value.toLocaleString("en");

// Makes an element: tag, text, and attributes or properties.
export function make(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  return made;
}

// Fills a select with pairs of value and text.
export function fill(select, pairs, chosen = select.value) {
  select.replaceChildren(...pairs.map(([value, text]) => make("option", text, { value })));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

// What a rating says, for a person.
export function said(rating) {
  const cause = rating.cause ? ` (${readable(rating.cause)})` : "";
  const of = rating.structure ? readable(rating.structure) : "whole label map";
  return `${of}: ${rating.verdict}${cause}`;
}
