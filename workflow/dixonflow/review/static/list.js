// The list of scans: only the rows that can be seen are in the page, so that 100,000 scans are as quick as ten.

import { Recent, getJson, getPositions } from "./api.js";
import { notify } from "./notices.js";
import { byId, fill, make, number, readable } from "./words.js";

const ROW = 30; // pixels, as in the style sheet
const CHUNK = 50; // rows of one request
const MARGIN = 10; // rows that are made above and below what is seen

const FILTERS = [
  ["status", "Status"],
  ["grade", "Grade"],
  ["check", "Check"],
  ["structure", "Structure"],
  ["model", "Model"],
  ["sequence", "Sequence"],
];

export class List {
  // `open` is called with the place of a scan in the list.
  constructor(session, open) {
    this.session = session;
    this.open = open;
    this.order = new Uint32Array(0);
    this.at = 0;
    this.chunks = new Recent(40);
    this.asked = 0;
    this.makeFilters();
    const list = byId("list");
    list.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(list);
    byId("rows").addEventListener("click", (event) => {
      const row = event.target.closest("[role=row]");
      if (row) this.open(Number(row.dataset.place));
    });
  }

  makeFilters() {
    const form = byId("filters");
    const choice = (name, title, pairs) => {
      const select = make("select", "", { name, id: `filter-${name}` });
      fill(select, pairs);
      const label = make("label", title);
      label.append(select);
      form.append(label);
      return select;
    };
    const search = make("label", "Search /");
    search.append(make("input", "", { type: "search", name: "text", id: "search", maxLength: 100 }));
    form.append(search);
    for (const [name, title] of FILTERS) {
      const words = this.session.filters[name] ?? [];
      if (words.length < (name === "check" || name === "structure" ? 1 : 2)) continue;
      choice(name, title, [["", "all"], ...words.map((word) => [word, readable(word)])]);
    }
    choice("rated", "Rated by you", [["", "all"], ["no", "not yet"], ["yes", "yes"]]);
    choice("verdict", "Verdict", [["", "all"], ...this.session.verdicts.map((word) => [word, word])]);
    if (!this.session.blinded) {
      const sorts = [["worst", "worst first"], ["check", "value of the check"], ["id", this.session.with_ids ? "id" : "number"], ["random", "random"]];
      choice("sort", "Order", sorts);
    }
    form.addEventListener("change", () => this.load());
    let timer = 0;
    byId("search").addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.load(), 120);
    });
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  query() {
    const values = new URLSearchParams();
    for (const [name, value] of new FormData(byId("filters"))) if (value) values.set(name, value);
    if (this.session.blinded) values.set("sort", "random");
    return values;
  }

  // Asks for the list that the filters describe; the answer to the last question counts.
  async load() {
    this.asked += 1;
    const mine = this.asked;
    let order;
    try {
      order = await getPositions(this.query());
    } catch (error) {
      notify(`The list cannot be shown: ${error.message}`, "list");
      return;
    }
    if (mine !== this.asked) return;
    const here = this.order[this.at];
    this.order = order;
    this.at = Math.max(0, this.order.indexOf(here));
    byId("count").textContent = `${number(order.length)} of ${number(this.session.scans)} scans`;
    byId("list").setAttribute("aria-rowcount", order.length + 1);
    byId("rows").style.height = `${order.length * ROW}px`;
    this.reveal();
    await this.draw();
    document.body.dataset.listed = order.length;
    performance.mark("listed");
  }

  // Gives the row of a scan at a place in the list.
  async row(place) {
    const start = Math.floor(place / CHUNK) * CHUNK;
    const positions = this.order.slice(start, start + CHUNK).join(",");
    const rows = await this.chunks.get(positions, () => getJson(`/api/rows?at=${positions}`));
    return rows[place - start];
  }

  // Forgets the rows, since a verdict changed one of them; they are read again when the list is seen.
  refresh() {
    this.chunks.clear();
    if (!byId("list-view").hidden) this.draw();
  }

  // Finds a position in the list; -1 where the filters leave it out.
  find(position) {
    return this.order.indexOf(position);
  }

  move(by) {
    this.at = Math.min(Math.max(this.at + by, 0), Math.max(this.order.length - 1, 0));
    this.reveal();
    this.draw();
  }

  get page() {
    return Math.max(1, Math.floor(byId("list").clientHeight / ROW) - 2);
  }

  // Scrolls so that the selected row can be seen.
  reveal() {
    const list = byId("list");
    const top = this.at * ROW;
    const room = list.clientHeight - 2 * ROW; // below the head
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top > list.scrollTop + room) list.scrollTop = top - room;
  }

  async draw() {
    const list = byId("list");
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - MARGIN);
    const last = Math.min(this.order.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + MARGIN);
    const order = this.order;
    const places = Array.from({ length: Math.max(0, last - first) }, (_, step) => first + step);
    let rows;
    try {
      rows = await Promise.all(places.map((place) => this.row(place)));
    } catch (error) {
      notify(`The list cannot be shown: ${error.message}`, "list");
      return;
    }
    if (order !== this.order || first !== Math.max(0, Math.floor(list.scrollTop / ROW) - MARGIN)) return;
    byId("rows").replaceChildren(...rows.map((row, step) => this.element(row, first + step)));
    if (order.length) list.setAttribute("aria-activedescendant", `row-${this.at}`);
    else list.removeAttribute("aria-activedescendant");
  }

  element(row, place) {
    const made = make("div", "", { id: `row-${place}`, className: place % 2 ? "even" : "odd", role: "row" });
    made.setAttribute("aria-rowindex", place + 2);
    made.setAttribute("aria-selected", place === this.at);
    made.style.top = `${place * ROW}px`;
    made.dataset.place = place;
    const cell = (text, name = "") => made.append(make("span", text, { role: "gridcell", className: name, title: text }));
    cell(row.name);
    cell(row.reason ? `${row.status}: ${readable(row.reason)}` : row.status);
    cell(row.grade ?? "", row.grade ?? "");
    cell(row.checks ?? "");
    cell(row.ratings.map(([rater, verdict, structure]) => `${rater}: ${verdict}${structure ? ` ${readable(structure)}` : ""}`).join(", "));
    return made;
  }
}
