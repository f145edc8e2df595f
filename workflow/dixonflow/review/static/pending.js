// Verdicts on their way: each is shown when the browser has it on its disk, and leaves the browser when the server has
// acknowledged it, which the server does when it is on the server's disk. Sending one twice counts once.
//
// IndexedDB, not localStorage: the latter is written some seconds later, and a browser that is killed forgets it.

import { RequestError, postRating } from "./api.js";
import { notify, withdraw } from "./notices.js";
import { said } from "./words.js";

const PAUSE_MS = 2000;
const DATABASE = "dixonflow-review";
const STORE = "verdicts";

// A request or transaction of IndexedDB as a promise.
function finished(request, event) {
  return new Promise((resolve, reject) => {
    request[event] = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onabort = () => reject(request.error);
  });
}

export class Pending {
  // Of one run and rater; `changed` is called with each verdict that is kept and, once it was saved, the answer.
  constructor(cohort, rater, changed) {
    this.owner = `${cohort}/${rater}`;
    this.changed = changed;
    this.kept = new Map(); // by the id of the verdict
    this.begun = new Map(); // those that are not yet on the disk of the browser
    this.sending = false;
    this.refused = new Map();
    this.timer = 0;
  }

  // Reads what an earlier page has left.
  async open() {
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "rating.rating_id" });
      this.database = await finished(request, "onsuccess");
      for (const entry of await finished(this.transaction("readonly").getAll(), "onsuccess")) {
        if (entry.owner === this.owner) this.kept.set(entry.rating.rating_id, entry.rating);
      }
    } catch (error) {
      notify(`This browser cannot keep verdicts (${error.message}): wait until each is shown as saved.`);
    }
    this.say();
  }

  transaction(mode) {
    return this.database.transaction(STORE, mode, { durability: "strict" }).objectStore(STORE);
  }

  // All that are not acknowledged, oldest first.
  all() {
    return [...this.kept.values()].sort((a, b) => (a.rated_at < b.rated_at ? -1 : 1));
  }

  of(key) {
    return this.all().filter((rating) => rating.key === key);
  }

  // What was given on a scan, also what is not shown yet since the browser still writes it: the next verdict is later
  // than that, and undo takes back the last of it.
  given(key) {
    return [...this.of(key), ...[...this.begun.values()].filter((rating) => rating.key === key)];
  }

  // Keeps a verdict, shows it, and sends it.
  async add(rating) {
    this.begun.set(rating.rating_id, rating);
    try {
      const store = this.transaction("readwrite");
      store.put({ owner: this.owner, rating });
      await finished(store.transaction, "oncomplete");
    } catch (error) {
      notify(`This browser cannot keep verdicts (${error.message}): wait until this one is shown as saved.`);
    }
    this.begun.delete(rating.rating_id);
    this.kept.set(rating.rating_id, rating);
    this.say();
    this.changed(rating);
    await this.send();
  }

  // Gives up a verdict that the server refuses, as the user has asked.
  async discard(id) {
    const rating = this.kept.get(id);
    await this.forget(id);
    this.refused.delete(id);
    this.say();
    this.changed(rating);
  }

  // A verdict is known here until `changed` can say what became of it.
  async forget(id) {
    try {
      if (!this.database) return;
      const store = this.transaction("readwrite");
      store.delete(id);
      await finished(store.transaction, "oncomplete");
    } finally {
      this.kept.delete(id);
    }
  }

  // Sends all that wait, one after the other; repeats until none does. Those that the server refuses wait for the user.
  async send() {
    clearTimeout(this.timer);
    if (this.sending) return;
    this.sending = true;
    try {
      await this.sendAll();
    } finally {
      this.sending = false;
    }
    this.say();
    if (this.waiting()) this.timer = setTimeout(() => this.send(), PAUSE_MS);
  }

  async sendAll() {
    for (const [id, rating] of this.kept) {
      // those that are given meanwhile are appended to the map, and sent, too
      if (this.refused.has(id)) continue;
      try {
        const answer = await postRating(rating);
        withdraw("save");
        await this.forget(id);
        this.changed(rating, answer);
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        if (error.status !== 400 && error.status !== 404) {
          // the server is gone, or cannot write: all others would fail, too, and are sent again later
          if (error.status >= 500) notify(`Verdicts are not saved: ${error.message}. They stay in this browser.`, "save");
          return;
        }
        this.refused.set(id, error.message);
        const text = `A verdict (${said(rating)}) was not saved: ${error.message}. It stays in this browser.`;
        notify(text, "", ["Discard it", () => this.discard(id)]);
      }
      this.say();
    }
  }

  waiting() {
    return this.all().filter((rating) => !this.refused.has(rating.rating_id)).length;
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
