// Requests to the server of this page. An answer that is an error becomes a RequestError with the server's words.

import { notify, withdraw } from "./notices.js";

export class RequestError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status; // 0: the server did not answer
  }
}

const GONE = "gone";
let token = "";
let whenBack = () => {};

// Sets what is called when the server answers again after it did not.
export function onReturn(call) {
  whenBack = call;
}

export function setToken(value) {
  token = value;
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, redirect: "error", signal: AbortSignal.timeout(60000) });
  } catch {
    sayGone("The server does not answer. Verdicts stay in this browser and are sent when it is back: start dixonflow review again and open the address that it prints.");
    throw new RequestError("the server does not answer", 0);
  }
  if (response.status === 401 || (response.status === 403 && options.method === "POST")) {
    sayGone("The server was started again, or this page was opened without its address. Open the address that dixonflow review printed. Verdicts that are not saved stay in this browser until then.");
    throw new RequestError("the address is no longer valid", response.status);
  }
  withdraw(GONE);
  if (response.ok) return response;
  const content = await response.json().catch(() => ({}));
  throw new RequestError(content.error ?? `the server answers ${response.status}`, response.status);
}

let watching = false;

// Says that the server is gone, and looks for it until it is back.
function sayGone(text) {
  notify(text, GONE);
  if (watching) return;
  watching = true;
  const look = async () => {
    try {
      const session = await (await fetch("/api/session")).json();
      if (!session.server) throw new Error("not yet");
      watching = false;
      withdraw(GONE);
      whenBack(session);
    } catch {
      setTimeout(look, 1500);
    }
  };
  setTimeout(look, 1500);
}

export async function getJson(path) {
  return (await ask(path)).json();
}

export async function getBytes(path) {
  return (await ask(path)).arrayBuffer();
}

// Gives positions of cases.
export async function getPositions(query) {
  return new Uint32Array(await getBytes(`/api/list?${query}`));
}

// Gives a picture, decoded so that it is shown at once, and what the server says of it.
export async function getPicture(path) {
  const response = await ask(path);
  const facts = JSON.parse(response.headers.get("X-Review-Picture") ?? "{}");
  const image = new Image();
  image.src = URL.createObjectURL(await response.blob());
  await image.decode();
  return { image, ...facts };
}

export async function postRating(rating) {
  const headers = { "Content-Type": "application/json", "X-Review-Token": token };
  return (await ask("/api/ratings", { method: "POST", headers, body: JSON.stringify({ blinded: false, ...rating }) })).json();
}

// A cache of promises that forgets what was used longest ago.
export class Recent {
  constructor(most, forget = () => {}) {
    this.most = most;
    this.forget = forget;
    this.kept = new Map();
  }

  get(key, make) {
    let value = this.kept.get(key);
    if (value === undefined) {
      value = make();
      value.catch(() => this.kept.delete(key)); // the next one tries again
    } else {
      this.kept.delete(key);
    }
    this.kept.set(key, value);
    while (this.kept.size > this.most) {
      const [oldest, dropped] = this.kept.entries().next().value;
      this.kept.delete(oldest);
      dropped.then(this.forget, () => {});
    }
    return value;
  }

  drop(key) {
    this.kept.delete(key);
  }

  clear() {
    this.kept.clear();
  }
}
