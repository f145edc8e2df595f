// Verdicts: which key gives which, and the dialog for structure, cause and comment.

import { notify, withdraw } from "./notices.js";
import { newId } from "./pending.js";
import { byId, fill, make, readable } from "./words.js";

// A letter for each cause, none of which means anything else in the dialog.
const LETTERS = { swap: "s", movement: "m", cut: "c", horseshoe_kidney: "h", cyst: "y", missing_kidney: "k", other_anatomy: "o", network: "n" };

export class Judge {
  // `saved` is called with each verdict that was given.
  constructor(session, scan, pending) {
    this.session = session;
    this.scan = scan;
    this.pending = pending;
    session.verdicts.forEach((verdict, place) => {
      const button = make("button", `${verdict} `, { type: "button", className: verdict });
      button.append(make("kbd", String(place + 1)));
      button.addEventListener("click", () => this.begin(verdict));
      byId("verdicts").append(button);
    });
    this.makeCauses();
    byId("judge-cancel").addEventListener("click", () => byId("judge").close());
    byId("judge-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    // what had the focus before may be hidden by now, and keys would go to a field that nobody sees
    byId("judge").addEventListener("close", () => byId("scan-title").focus());
    byId("judge").addEventListener("keydown", (event) => this.onKey(event));
  }

  makeCauses() {
    const box = byId("causes");
    const choice = (value, text, letter) => {
      const label = make("label");
      label.append(make("input", "", { type: "radio", name: "cause", value }), ` ${text} `, make("kbd", letter));
      box.append(label);
    };
    choice("", "no cause", "-");
    for (const { cause } of this.session.causes) choice(cause, readable(cause), LETTERS[cause]);
  }

  // A good verdict is saved at once; others ask for the cause.
  begin(verdict, ask = verdict !== "good") {
    const subject = this.scan.subject();
    if (!subject) return;
    if (!this.scan.sees(subject)) {
      this.refuse(subject.key);
      return;
    }
    if (!ask) {
      this.give({ ...subject, verdict, cause: null, comment: "" });
      return;
    }
    this.verdict = verdict;
    this.subject = subject;
    const model = this.scan.shown.models.find((each) => each.name === subject.model);
    const first = this.scan.focus.structures;
    const others = [...model.composites, ...model.structures].filter((name) => !first.includes(name)).sort();
    const pairs = [...first, ...others].map((name) => [name, readable(name)]);
    fill(byId("judge-structure"), [["", "whole label map"], ...pairs], subject.structure ?? "");
    byId("judge-title").textContent = `Verdict: ${verdict}`;
    byId("judge-problem").textContent = "";
    byId("comment").value = "";
    this.pick("");
    byId("judge").showModal();
    byId("causes").querySelector("input").focus();
  }

  // Says that there is no verdict until one is given on that scan: what comes onto the screen meanwhile is no verdict.
  refuse(key) {
    const { shown, wanted } = this.scan;
    const reason = wanted === key ? `the label map of ${shown.name} was not shown, or not yet` : "the next scan was not shown yet";
    notify(`No verdict was given: ${reason}.`, `unseen-${wanted}`);
  }

  pick(cause) {
    const input = byId("causes").querySelector(`input[value="${cause}"]`);
    input.checked = true;
    input.focus();
  }

  onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const inText = event.target.matches("textarea, select");
    if (event.key === "Enter" && !event.shiftKey && !event.target.matches("button")) {
      event.preventDefault();
      this.save();
    } else if (!inText) {
      const cause = event.key === "-" ? "" : Object.keys(LETTERS).find((name) => LETTERS[name] === event.key);
      if (cause === undefined) return;
      event.preventDefault();
      this.pick(cause);
    }
    event.stopPropagation();
  }

  save() {
    const cause = new FormData(byId("judge-form")).get("cause") || null;
    const anatomy = this.session.causes.some((each) => each.cause === cause && each.anatomy);
    const problem = byId("judge-problem");
    if (this.verdict === "faulty" && !cause) problem.textContent = "A faulty verdict needs a cause.";
    else if (this.verdict === "good" && cause && !anatomy) problem.textContent = "A good verdict has no cause but an unusual anatomy.";
    else {
      const structure = byId("judge-structure").value || null;
      this.give({ ...this.subject, structure, verdict: this.verdict, cause, comment: byId("comment").value.trim() });
      byId("judge").close();
    }
  }

  give(rating) {
    withdraw(`unseen-${rating.key}`);
    withdraw("unseen-"); // of a scan whose key was not known yet
    this.pending.add({ ...rating, ...this.stamp(rating.key), withdrawn: false });
  }

  // Id, time and circumstances of a verdict: later than all that was said of the scan, even if the clock was set back.
  stamp(key) {
    const before = [this.scan.lastTimes.get(key) ?? "", ...this.pending.given(key).map((rating) => rating.rated_at)].sort().at(-1);
    const time = Math.max(Date.now(), before ? Date.parse(before) + 1 : 0);
    return { rating_id: newId(), rated_at: new Date(time).toISOString(), blinded: this.session.blinded };
  }

  // Takes back the rater's last verdict on the scan that is shown: one that waits, or one that is saved.
  undo() {
    const { shown } = this.scan;
    const own = shown.ratings.filter((rating) => rating.own);
    const known = [...own, ...this.pending.given(shown.key)].sort((a, b) => (a.rated_at < b.rated_at ? -1 : 1));
    const standing = new Map(); // the last one is the latest
    for (const rating of known) {
      const item = `${rating.model}/${rating.structure}/${rating.label_map_key}`;
      standing.delete(item);
      if (!rating.withdrawn) standing.set(item, rating);
    }
    const last = [...standing.values()].at(-1);
    if (!last) return;
    if (this.pending.refused.has(last.rating_id)) {
      this.pending.discard(last.rating_id);
      return;
    }
    const { model, structure, verdict, cause, label_map_key } = last;
    this.pending.add({ key: shown.key, model, structure, verdict, cause, label_map_key, comment: "", ...this.stamp(shown.key), withdrawn: true });
  }
}
