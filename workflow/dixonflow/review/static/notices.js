// What went wrong, said to the user on the page and to nobody else.

const MOST = 5;

// Shows a notice; the same text is shown once. With a name, it replaces the notice of that name. `action` is the text
// of a further button, and what it does.
export function notify(text, name = "", action = null) {
  const notices = document.getElementById("notices");
  const same = [...notices.children].find((each) => (name ? each.dataset.name === name : each.dataset.text === text));
  if (same && same.dataset.text === text) return;
  same?.remove();
  const notice = document.createElement("div");
  notice.className = "notice";
  Object.assign(notice.dataset, { text, name });
  const words = document.createElement("span");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => notice.remove());
  notice.append(words);
  if (action) {
    const further = document.createElement("button");
    further.type = "button";
    [further.textContent] = action;
    further.addEventListener("click", () => {
      notice.remove();
      action[1]();
    });
    notice.append(further);
  }
  notice.append(close);
  notices.append(notice);
  while (notices.children.length > MOST) notices.firstChild.remove();
}

// Takes the notice of a name away.
export function withdraw(name) {
  document.querySelector(`#notices [data-name="${name}"]`)?.remove();
}

// Shows every error that nothing else has handled.
export function watchErrors() {
  const show = (error, text) => notify(`An error on this page: ${error?.message ?? text}. Verdicts shown as saved are safe; reload the page.`);
  window.addEventListener("error", (event) => show(event.error, event.message));
  window.addEventListener("unhandledrejection", (event) => show(event.reason, String(event.reason)));
}
