// The view of one scan: pictures of what the checks name, what they say, and the verdicts.

import { Recent, getJson, getPicture } from "./api.js";
import { showFacts } from "./facts.js";
import { notify } from "./notices.js";
import { closePlanes } from "./volume.js";
import { byId, fill, make, number, readable, said } from "./words.js";

const ZOOMS = [1, 1.5, 2, 3, 4, 6];
const AHEAD = [1, -1, 2]; // neighbours that are fetched before they are asked for

export class ScanView {
  constructor(session, list, pending) {
    this.session = session;
    this.list = list;
    this.pending = pending;
    this.details = new Recent(30);
    this.pictures = new Recent(60, (picture) => URL.revokeObjectURL(picture.image.src));
    this.zoom = 0;
    this.planes = ["coronal", "axial"];
    this.active = 0;
    this.chosen = null; // what the rater chose to see, kept from scan to scan
    this.shown = null;
    this.wanted = ""; // key of the scan that was asked for last; empty while it is not known
    this.renewed = ""; // key of the scan that is read again
    this.seen = null; // the label map on the screen
    this.lastTimes = new Map(); // when the rater said something of a scan last, by its key
    byId("focus").addEventListener("change", () => this.choose(byId("focus").value));
    byId("model").addEventListener("change", () => this.choose("", byId("model").value));
  }

  detail(key) {
    return this.details.get(key, () => getJson(`/case/${key}`));
  }

  // A verdict on a scan was given or, where there is an answer, saved: what the server said before no longer holds.
  changed(rating, answer) {
    const { key, model } = rating;
    const here = this.shown?.key === key;
    if (answer) {
      this.details.drop(key);
      this.lastTimes.set(key, answer.last_rated_at);
      if (here) this.shown.ratings = answer.ratings;
    }
    if (here) this.showRatings();
    if (!answer) return;
    const present = answer.label_map_keys[model];
    if (present !== rating.label_map_key && !rating.withdrawn) {
      const more = here && this.wanted === key ? " The new one is shown." : "";
      notify(`The label map of ${answer.name} was computed again: verdicts until now are on the earlier one.${more}`, `renew-${key}`);
    }
    const outdated = here && this.shown.models.some((each) => each.name === model && each.label_map_key !== present);
    if (outdated && this.renewed !== key) this.renew(this.shown);
  }

  // What is shown of a scan: what the rater chose, else what the worst objection names, else the whole body.
  focusOf(detail) {
    const names = (model) => new Set([...model.structures, ...model.composites]);
    const kept = this.chosen && detail.models.find((model) => model.name === this.chosen.model);
    if (kept && this.chosen.structures.every((name) => names(kept).has(name))) return this.chosen;
    if (detail.focuses.length) return detail.focuses[0];
    return { model: detail.models[0]?.name ?? "", structures: [] };
  }

  path(detail, focus, plane, index = "") {
    const values = new URLSearchParams({ model: focus.model, structures: focus.structures.join(","), index });
    return `/picture/${detail.key}/${plane}?${values}`;
  }

  picture(path) {
    return this.pictures.get(path, () => getPicture(path));
  }

  // Shows the scan of a key; `place` is where it is in the list, or -1.
  async show(key, place) {
    this.wanted = key;
    const detail = { ...(await this.detail(key)) };
    if (this.wanted !== key) return;
    closePlanes(); // they may show the scan before, or its earlier label map
    this.shown = detail;
    if (detail.last_rated_at > (this.lastTimes.get(key) ?? "")) this.lastTimes.set(key, detail.last_rated_at);
    this.place = place;
    this.focus = this.focusOf(detail);
    this.indices = {};
    byId("scan-title").textContent = detail.name;
    byId("place").textContent = place < 0 ? "not in the list" : `${number(place + 1)} of ${number(this.list.order.length)}`;
    document.title = `${detail.name} - DixonFlow review`;
    history.replaceState(null, "", `#/scan/${key}`);
    this.showChoices();
    showFacts(detail);
    this.showRatings();
    await this.draw();
    if (this.wanted !== key) return;
    document.body.dataset.shown = key;
    this.fetchAhead(place);
  }

  async fetchAhead(place) {
    const mine = this.wanted;
    for (const step of AHEAD) {
      const next = place + step;
      if (place < 0 || next < 0 || next >= this.list.order.length || this.wanted !== mine) continue;
      try {
        const detail = await this.detail((await this.list.row(next)).key);
        if (!detail.models.length) continue;
        const focus = this.focusOf(detail);
        await Promise.all(this.planes.map((plane) => this.picture(this.path(detail, focus, plane))));
      } catch {
        // it is asked for again, and the reason shown, when the scan is
      }
    }
  }

  choose(text, model = this.focus.model) {
    this.chosen = { model, structures: text ? text.split(",") : [] };
    return this.look(this.chosen);
  }

  // Shows what the next objection names, the whole body after the last.
  nextFocus() {
    const all = [...this.shown.focuses, { model: this.focus.model, structures: [] }];
    const here = all.findIndex((each) => String(each.structures) === String(this.focus.structures));
    this.chosen = null;
    return this.look(all[(here + 1) % all.length]);
  }

  look(focus) {
    if (focus.model !== this.focus.model) closePlanes(); // they show the label map of the other model
    this.focus = focus;
    this.indices = {};
    this.showChoices();
    return this.draw();
  }

  showChoices() {
    const { models, focuses } = this.shown;
    const model = models.find((each) => each.name === this.focus.model);
    byId("model-choice").hidden = models.length < 2;
    fill(byId("model"), models.map((each) => [each.name, each.name]), this.focus.model);
    const pairs = [["", "whole body"]];
    for (const each of focuses.filter((one) => one.model === this.focus.model)) {
      const names = each.structures.map(readable).join(", ");
      pairs.push([each.structures.join(","), `${readable(each.check)}: ${names}`]);
    }
    const known = new Set(pairs.map(([value]) => value));
    const others = model ? [...model.composites, ...model.structures].filter((name) => !known.has(name)) : [];
    pairs.push(...others.sort().map((name) => [name, readable(name)]));
    fill(byId("focus"), pairs, this.focus.structures.join(","));
    byId("focus").disabled = byId("volume").disabled = !models.length;
    const subject = this.subject();
    byId("subject").textContent = subject ? `Verdicts are on: ${subject.structure ? readable(subject.structure) : "the label map as a whole"}` : "There is no label map to judge.";
    for (const button of byId("verdicts").children) button.disabled = !subject;
  }

  // What a verdict is on: the structure that is shown, the first of several, or the label map as a whole.
  subject() {
    const model = this.shown?.models.find((each) => each.name === this.focus.model);
    if (!model?.has_labels) return null;
    return { key: this.shown.key, model: model.name, structure: this.focus.structures[0] ?? null, label_map_key: model.label_map_key };
  }

  // Whether the label map that a verdict would be on is on the screen, and no other scan was asked for meanwhile.
  sees({ key, model, label_map_key }) {
    return this.wanted === key && String(this.seen) === String([key, model, label_map_key]);
  }

  labelKey() {
    return this.shown.models.find((each) => each.name === this.focus.model)?.label_map_key;
  }

  // Reads a scan again whose label map was replaced meanwhile: a verdict is on the one that is shown, no other. If the
  // rater is on the way to another scan, that one is shown instead.
  async renew(shown) {
    this.details.drop(shown.key);
    this.pictures.clear();
    if (this.wanted !== shown.key) return;
    if (this.renewed === shown.key) {
      notify(`The label map of ${shown.name} is being replaced. Open it again later.`, `renew-${shown.key}`);
      return;
    }
    this.renewed = shown.key;
    try {
      await this.show(shown.key, this.place);
    } finally {
      if (this.renewed === shown.key) this.renewed = "";
    }
  }

  async draw() {
    const { shown, focus } = this;
    const figures = byId("figures");
    if (!shown.models.length || !focus.model) {
      this.seen = null;
      figures.replaceChildren(this.instead("This scan has no images to judge."));
      return;
    }
    const paths = this.planes.map((plane) => this.path(shown, focus, plane, this.indices[plane] ?? ""));
    figures.classList.add("waiting");
    const made = await Promise.all(
      paths.map(async (path, place) => {
        try {
          const picture = await this.picture(path);
          picture.image.alt = `${this.planes[place]} slice: ${picture.panels.join(", ")}`;
          return { picture };
        } catch (error) {
          return { problem: error.message };
        }
      }),
    );
    if (shown !== this.shown || focus !== this.focus) return;
    figures.classList.remove("waiting");
    if (made.some((each) => each.picture && each.picture.label_map_key !== this.labelKey())) {
      return this.renew(shown);
    }
    if (made.every((each) => each.problem)) {
      this.seen = null;
      figures.replaceChildren(this.instead(`There is no picture: ${made[0].problem}.`));
      return;
    }
    this.drawn = Object.fromEntries(made.map((each, place) => [this.planes[place], each.picture]));
    figures.replaceChildren(...made.map((each, place) => this.figure(each, place)));
    const hasLabels = made.some((each) => each.picture?.panels.some((name) => name.startsWith("label map")));
    this.seen = hasLabels ? [shown.key, focus.model, this.labelKey()] : null;
    this.applyZoom();
  }

  figure({ picture, problem }, place) {
    const plane = this.planes[place];
    const figure = make("figure", "", { className: place === this.active ? "active" : "" });
    if (problem) {
      figure.append(make("p", `${plane}: ${problem}`, { className: "problem" }));
      return figure;
    }
    const caption = `${plane}, slice ${picture.index + 1} of ${picture.slices}: ${picture.panels.join(", ")}`;
    figure.append(make("figcaption", caption));
    const box = make("div", "", { className: "scroll", tabIndex: 0, role: "group" });
    box.setAttribute("aria-label", `${plane} slice`);
    box.append(picture.image);
    figure.append(box);
    for (const note of picture.notes) figure.append(make("p", note, { className: "problem" }));
    return figure;
  }

  // The reason why there are no pictures, with the overview picture where there is one.
  instead(reason) {
    const box = make("div");
    box.append(make("p", reason, { className: "problem" }));
    if (this.shown.sheet) {
      box.append(make("p", "This is the overview picture that was made when the images were there:"));
      box.append(make("img", "", { src: `/sheet/${this.shown.key}`, alt: "overview picture of the scan" }));
    }
    return box;
  }

  async step(by) {
    const plane = this.planes[this.active];
    const drawn = this.drawn?.[plane];
    if (!drawn) return;
    this.indices[plane] = Math.min(Math.max(drawn.index + by, 0), drawn.slices - 1);
    await this.draw();
  }

  switchPlane() {
    this.active = (this.active + 1) % this.planes.length;
    [...byId("figures").querySelectorAll("figure")].forEach((each, place) => each.classList.toggle("active", place === this.active));
  }

  switchSagittal() {
    this.planes = [this.planes[0] === "coronal" ? "sagittal" : "coronal", "axial"];
    return this.draw();
  }

  changeZoom(by) {
    this.zoom = by === 0 ? 0 : Math.min(Math.max(this.zoom + by, 0), ZOOMS.length - 1);
    this.applyZoom();
  }

  applyZoom() {
    for (const image of byId("figures").querySelectorAll(".scroll img")) {
      image.style.width = this.zoom ? `${image.naturalWidth * ZOOMS[this.zoom]}px` : "";
      image.classList.toggle("fits", this.zoom === 0);
    }
  }

  showRatings() {
    const keys = new Map(this.shown.models.map((model) => [model.name, model.label_map_key]));
    const item = (rating, more) => {
      const made = make("li", `${rating.rater ?? this.session.rater}: `);
      made.dataset.rating = rating.rating_id;
      made.append(make("span", said(rating), { className: rating.verdict }));
      made.append([rating.comment && `, "${rating.comment}"`, more].filter(Boolean).join(""));
      return made;
    };
    const waiting = this.pending.of(this.shown.key).map((rating) => item(rating, rating.withdrawn ? " (taken back, not saved yet)" : " (not saved yet)"));
    const earlier = (rating) => (keys.get(rating.model) === rating.label_map_key ? "" : " (of another label map)");
    const ratings = this.shown.ratings.map((rating) => item(rating, earlier(rating)));
    byId("ratings").replaceChildren(...waiting, ...ratings);
    if (!waiting.length && !ratings.length) byId("ratings").append(make("li", "none yet", { className: "soft" }));
  }
}
