// Verdicts on their way: each is in the browser's storage before it is sent, and leaves it when the server has
// acknowledged it, which the server does when it is on the disk. Sending one twice counts once.

import { RequestError, postRating } from "./api.js";
import { notify } from "./notices.js";

const PAUSE_MS = 2000;

export class Pending {
  // Of one run and rater; `changed` is called with the answer of the server whenever one was saved.
  constructor(cohort, rater, changed) {
    this.prefix = `dixonflow-review/${cohort}/${rater}/`;
    this.changed = changed;
    this.sending = new Set();
    this.refused = new Map();
    this.timer = 0;
  }

  // All that are not acknowledged, oldest first. An entry that is damaged is shown as it is, not dropped.
  all() {
    const found = [];
    for (let place = 0; place < localStorage.length; place += 1) {
      const name = localStorage.key(place);
      if (!name.startsWith(this.prefix)) continue;
      try {
        found.push(JSON.parse(localStorage.getItem(name)));
      } catch {
        notify(`A verdict that is kept in this browser cannot be read: ${localStorage.getItem(name)}`);
      }
    }
    return found.sort((a, b) => (a.rated_at < b.rated_at ? -1 : 1));
  }

  of(key) {
    return this.all().filter((rating) => rating.key === key);
  }

  // Keeps a verdict and sends it.
  add(rating) {
    try {
      localStorage.setItem(this.prefix + rating.rating_id, JSON.stringify(rating));
    } catch (error) {
      notify(`This browser cannot keep verdicts (${error.message}): do not close the page before this one is shown as saved.`);
      this.unkept = [...(this.unkept ?? []), rating];
    }
    this.say();
    return this.send();
  }

  // Sends all that wait; repeats until none does. Those that the server refuses wait for the user.
  async send() {
    clearTimeout(this.timer);
    for (const rating of [...this.all(), ...(this.unkept ?? [])]) {
      const id = rating.rating_id;
      if (this.sending.has(id) || this.refused.has(id)) continue;
      this.sending.add(id);
      try {
        const answer = await postRating(rating);
        localStorage.removeItem(this.prefix + id);
        this.unkept = (this.unkept ?? []).filter((each) => each.rating_id !== id);
        this.changed(rating.key, answer);
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        if (error.status === 400 || error.status === 404) {
          this.refused.set(id, error.message);
          notify(`A verdict was not saved: ${error.message}. It stays in this browser.`);
        }
      } finally {
        this.sending.delete(id);
      }
    }
    this.say();
    if (this.waiting()) this.timer = setTimeout(() => this.send(), PAUSE_MS);
  }

  waiting() {
    const left = [...this.all(), ...(this.unkept ?? [])];
    return left.filter((rating) => !this.refused.has(rating.rating_id)).length;
  }

  say() {
    const waiting = this.waiting();
    const refused = this.refused.size ? `, ${this.refused.size} refused` : "";
    const text = waiting ? `${waiting} not saved yet${refused}` : `All verdicts are saved${refused}`;
    const status = document.getElementById("saved");
    if (status.textContent !== text) status.textContent = text;
    document.body.dataset.pending = waiting;
  }
}

// A new id for a verdict.
export function newId() {
  return crypto.randomUUID();
}
