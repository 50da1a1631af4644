// What every page does: keys, dialogs, notices, times in the reader's own zone.
//
//   data-key="u"       on a button or link: that key presses it, where its region [data-keys] holds
//                      the focus, or where nothing does and it is the first on the page
//   data-opens="id"    opens a dialog;  data-closes  closes the dialog or notice around it
//   data-confirms="…"  asks before a form is sent
//
// Whoever was signed out while he typed signs in elsewhere and sends it then: the page takes the new
// session's token, if it is the same person's.
//
// No words stand here: they come from the page.

const typing = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";

/** Shows a notice. Its text is text. */
export function notify(text, tone = "bad") {
  const copy = document.getElementById("notice").content.cloneNode(true);
  const notice = copy.querySelector(".notice");
  notice.dataset.tone = tone;
  notice.querySelector("p").textContent = text;
  document.getElementById("notices").append(copy);
}

/** Sends JSON as the page's user; gives the reply. */
export function send(place, body, options = {}) {
  return fetch(place, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": document.body.dataset.csrf },
    body: JSON.stringify(body),
    ...options,
  });
}

function pressable(key) {
  const here = document.activeElement?.closest("[data-keys]");
  const dialog = document.querySelector("dialog[open]");
  const regions = dialog ? [dialog] : here ? [here, document] : [document];
  for (const region of regions) {
    const found = [...region.querySelectorAll("[data-key]")].find(
      (each) => each.dataset.key === key && !each.disabled && each.checkVisibility(),
    );
    if (found) return found;
  }
  return null;
}

function listKeys(dialog) {
  const list = dialog.querySelector("[data-keys-list]");
  list.replaceChildren();
  const seen = new Set();
  for (const each of document.querySelectorAll("[data-key]")) {
    const { key } = each.dataset;
    if (seen.has(key) || !each.checkVisibility()) continue;
    seen.add(key);
    const term = document.createElement("dt");
    const shown = document.createElement("kbd");
    shown.textContent = key.length === 1 ? key.toUpperCase() : key;
    term.append(shown);
    const told = document.createElement("dd");
    told.textContent = each.dataset.keyText || each.getAttribute("aria-label") || wordsOf(each);
    list.append(term, told);
  }
  dialog.querySelector("[data-no-keys]").hidden = seen.size > 0;
}

/** What stands on a button, without the key that it shows itself. */
function wordsOf(button) {
  const copy = button.cloneNode(true);
  for (const each of copy.querySelectorAll("kbd")) each.remove();
  return copy.textContent.trim();
}

function open(id) {
  const dialog = document.getElementById(id);
  if (!dialog || dialog.open) return;
  if (id === "keys") listKeys(dialog);
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.(typing)) return;
  if (document.body.dataset.shortcuts !== "on" && event.key !== "Escape") return;
  if (event.key === "?") {
    open("keys");
    event.preventDefault();
    return;
  }
  // A button that has the focus is pressed by Enter and Space itself.
  if ((event.key === "Enter" || event.key === " ") && event.target.closest("a, button, summary")) return;
  const found = pressable(event.key);
  if (found) {
    event.preventDefault();
    if (found.matches(typing)) found.focus();
    else found.click();
  }
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) {
    opener.closest("details.menu")?.removeAttribute("open");
    open(opener.dataset.opens);
    return;
  }
  const closer = event.target.closest("[data-closes]");
  if (closer) {
    const around = closer.closest("dialog, .notice");
    if (around instanceof HTMLDialogElement) around.close();
    else around?.remove();
    return;
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirms;
  if (question && !window.confirm(question)) {
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  // What was typed and not sent is not for whoever signs in next in this window.
  if (event.target.getAttribute("action") === "/signout") sessionStorage.clear();
}, true);

document.addEventListener("htmx:sendError", () => {
  notify(document.getElementById("offline").content.textContent);
});

/** Times in the reader's zone and language. */
export function showTimes(root) {
  const shape = new Intl.DateTimeFormat(document.documentElement.lang, {
    dateStyle: "medium",
    timeStyle: "short",
  });
  for (const each of root.querySelectorAll("time[datetime]:not([data-shown])")) {
    each.dataset.shown = "";
    each.title = each.getAttribute("datetime");
    each.textContent = shape.format(new Date(each.getAttribute("datetime")));
  }
}

showTimes(document);
// On a phone the tabs are wider than the page: the one that is shown is brought into view.
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
document.addEventListener("htmx:load", (event) => showTimes(event.detail.elt));

let isSignedOut = false;

document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401) isSignedOut = true;
});

window.addEventListener("focus", async () => {
  if (!isSignedOut) return;
  const reply = await fetch("/v1/me");
  if (!reply.ok) return;
  const me = await reply.json();
  if (!me.csrf || me.name !== document.body.dataset.viewer) return;
  document.body.dataset.csrf = me.csrf;
  document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRF-Token": me.csrf }));
  for (const each of document.querySelectorAll('input[name="csrf"]')) each.value = me.csrf;
  isSignedOut = false;
});
