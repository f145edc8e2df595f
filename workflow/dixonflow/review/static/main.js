// Starts the page: which view is shown, and which key does what.

import { showAgreement } from "./agreement.js";
import { RequestError, getJson, onReturn, setToken } from "./api.js";
import { Judge } from "./judge.js";
import { List } from "./list.js";
import { notify, watchErrors } from "./notices.js";
import { Pending } from "./pending.js";
import { ScanView } from "./scan.js";
import { closePlanes, togglePlanes } from "./volume.js";
import { byId, make } from "./words.js";

let session, list, scan, pending, judge;
let opened = 0; // scans that were asked for: the last one counts
const VIEWS = ["list-view", "scan-view", "agreement-view"];
const view = () => VIEWS.find((name) => !byId(name).hidden);

function show(name) {
  for (const each of VIEWS) byId(each).hidden = each !== name;
  if (name !== "scan-view") {
    delete document.body.dataset.shown;
    history.replaceState(null, "", "#/");
    document.title = "DixonFlow review";
  }
}

async function openList() {
  closePlanes();
  show("list-view");
  list.reveal();
  list.draw();
  byId("list").focus();
}

// Shows the scan whose key and place `find` gives. Until it is there, no verdict is on the one before. Gives whether it
// was found.
async function open(find) {
  opened += 1;
  const mine = opened;
  scan.wanted = "";
  try {
    const { key, place } = await find();
    if (mine === opened) await openKey(key, place);
    return true;
  } catch (error) {
    if (mine === opened) scan.wanted = scan.shown?.key ?? "";
    report(error);
    return false;
  }
}

// Shows the scan at a place in the list.
function openPlace(place) {
  if (place >= 0 && place < list.order.length) open(async () => ({ key: (await list.row(place)).key, place }));
}

async function openKey(key, place) {
  if (view() !== "scan-view") {
    show("scan-view");
    byId("scan-title").focus();
  }
  if (place >= 0) list.at = place;
  await scan.show(key, place);
}

// Opens the scan that the address names, as links in the report do.
async function openAddress() {
  const key = /^#\/scan\/([0-9a-f]{20})$/.exec(location.hash)?.[1];
  if (!key) return;
  const found = await open(async () => ({ key, place: list.find((await scan.detail(key)).position) }));
  if (!found) openList();
}

async function showPlanes() {
  const { shown, focus } = scan;
  if (!shown?.models.length) return;
  const error = await togglePlanes(shown, focus);
  if (error?.status === 409 && scan.shown === shown) await scan.renew(shown);
}

async function openAgreement() {
  if (session.blinded) return;
  show("agreement-view");
  byId("agreement-title").focus();
  await showAgreement(session).catch(report);
}

// Words of the server, or an error of the page, which is shown as one.
function report(error) {
  if (!(error instanceof RequestError)) throw error;
  if (error.status) notify(error.message, "request");
}

const SCAN_KEYS = {
  "j": ["next scan", () => openPlace(scan.place + 1)],
  "k": ["previous scan", () => openPlace(scan.place - 1)],
  "1": ["good", () => judge.begin("good")],
  "2": ["usable: asks for structure, cause and comment", () => judge.begin("usable")],
  "3": ["faulty: asks for structure, cause and comment", () => judge.begin("faulty")],
  "g": ["good, with a comment or an unusual anatomy", () => judge.begin("good", true)],
  "u": ["take back the last verdict on this scan", () => judge.undo()],
  "c": ["what the next check names, or the whole body", () => scan.nextFocus()],
  "w": ["the whole body", () => scan.choose("")],
  "f": ["choose a structure", () => byId("focus").focus()],
  ".": ["next slice (> five slices)", () => scan.step(1)],
  ",": ["previous slice (< five slices)", () => scan.step(-1)],
  "p": ["the other plane's slices", () => scan.switchPlane()],
  "s": ["sagittal or coronal", () => scan.switchSagittal()],
  "+": ["zoom in", () => scan.changeZoom(1)],
  "-": ["zoom out", () => scan.changeZoom(-1)],
  "0": ["as large as fits", () => scan.changeZoom(0)],
  "v": ["three planes of the image", () => showPlanes()],
};
const SAME = { "ArrowRight": "j", "ArrowDown": "j", "ArrowLeft": "k", "ArrowUp": "k", "=": "+" };
const FIVE = { ">": 5, "<": -5 };
const LIST_KEYS = {
  "j": ["next row", () => list.move(1)],
  "k": ["previous row", () => list.move(-1)],
  "Enter": ["open the scan", () => openPlace(list.at)],
  "PageDown": ["a page down", () => list.move(list.page)],
  "PageUp": ["a page up", () => list.move(-list.page)],
  "Home": ["first row", () => list.move(-Infinity)],
  "End": ["last row", () => list.move(Infinity)],
};
const KEYS = {
  "/": ["search", () => openList().then(() => byId("search").focus())],
  "Escape": ["back to the list", () => openList()],
  "a": ["agreement of two raters", () => openAgreement()],
  "?": ["these keys", () => byId("help").showModal()],
};

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  // a verdict works while the choice of structures has the focus: no name in it begins with a digit
  const typing = event.target.matches("input, textarea, select") && !(event.target.matches("#focus, #model") && "123".includes(event.key));
  if (typing && event.key !== "Escape" && !(event.key === "Enter" && event.target.id === "search")) return;
  if (typing) {
    event.target.blur();
    (view() === "list-view" ? byId("list") : byId("scan-title")).focus();
    return;
  }
  if (event.target.matches("button") && (event.key === "Enter" || event.key === " ")) return;
  if (event.target.matches("canvas, .scroll") && event.key.startsWith("Arrow")) return; // they move what is in it
  const here = view() === "scan-view" ? SCAN_KEYS : view() === "list-view" ? LIST_KEYS : {};
  if (view() === "scan-view" && event.key in FIVE) scan.step(FIVE[event.key]);
  const found = here[event.key] ?? here[SAME[event.key]] ?? KEYS[event.key];
  if (!found) return;
  event.preventDefault();
  found[1]();
}

function makeHelp() {
  const titles = [[KEYS, ""], [LIST_KEYS, "list: "], [SCAN_KEYS, "scan: "]];
  for (const [keys, where] of titles) {
    for (const [key, [text]] of Object.entries(keys)) {
      const term = make("dt");
      term.append(make("kbd", key));
      byId("keys").append(term, make("dd", where + text));
    }
  }
}

async function begin() {
  watchErrors();
  makeHelp();
  byId("to-help").addEventListener("click", () => byId("help").showModal());
  onReturn((found) => (session ? resume(found) : location.reload()));
  try {
    session = await getJson("/api/session");
  } catch (error) {
    report(error);
    return;
  }
  setToken(session.post_token);
  byId("who").textContent = `${session.rater}${session.blinded ? ", blinded" : ""}`;
  pending = new Pending(session.cohort, session.rater, (rating, answer) => {
    scan.changed(rating, answer);
    if (answer) list.refresh();
  });
  await pending.open();
  list = new List(session, openPlace);
  scan = new ScanView(session, list, pending);
  scan.place = -1;
  judge = new Judge(session, scan, pending);
  byId("to-agreement").hidden = session.blinded;
  byId("to-list").addEventListener("click", openList);
  byId("to-agreement").addEventListener("click", openAgreement);
  byId("previous").addEventListener("click", SCAN_KEYS.k[1]);
  byId("next").addEventListener("click", SCAN_KEYS.j[1]);
  byId("zoom-in").addEventListener("click", SCAN_KEYS["+"][1]);
  byId("zoom-out").addEventListener("click", SCAN_KEYS["-"][1]);
  byId("volume").addEventListener("click", SCAN_KEYS.v[1]);
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", openAddress);
  await list.load();
  document.body.dataset.ready = session.server;
  byId("list").focus();
  await openAddress();
  await pending.send();
}

// The server is back: the same one, or another after which nothing that was read holds.
function resume(found) {
  if (found.server !== session.server) location.reload();
  else pending.send();
}

begin();
