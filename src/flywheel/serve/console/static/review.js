// Deciding on one item after the other without leaving the keys: what console.js does not know.
//
//   [data-confirm]      what Enter presses while the item itself has the focus
//   [data-opens-edit]   opens the form for an answer of one's own
//   [data-save]         what Ctrl+Enter presses in a text field; else what Enter would press

const item = () => document.getElementById("item");

function keysAct() {
  return document.body.dataset.shortcuts === "on";
}

function press(button) {
  if (button && !button.disabled) button.click();
}

function edit() {
  const details = item()?.querySelector(".review-edit, .review-again");
  if (details) details.open = true;
  item()?.querySelector("[data-edit]")?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.keyCode === 229 || !event.target.closest) return;
  const here = event.target.closest("#item");
  if (!here) return;
  const field = event.target.closest("textarea, input[type=search]");
  if (field && event.key === "Escape") {
    event.preventDefault();
    here.focus();
  } else if (field && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    press(field.closest("details")?.querySelector("[data-save]") ?? here.querySelector("[data-confirm]"));
  } else if (event.key === "Enter" && field?.matches("input")) {
    event.preventDefault(); // looking for passages decides nothing
  } else if (event.key === "Enter" && event.target.matches("#item, input[type=radio], input[type=checkbox]") && keysAct()) {
    event.preventDefault();
    press(here.querySelector("[data-confirm]"));
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-opens-edit]")) edit();
});

// A second press before the reply would decide on the next item unseen.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (!event.detail.elt.matches("#item form, .review-head form")) return;
  for (const each of document.querySelectorAll("#review button")) each.disabled = true;
});

document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful || !document.contains(event.detail.elt)) return;
  for (const each of document.querySelectorAll("#review button")) each.disabled = false;
});

function begin() {
  document.querySelector("#review .tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  item()?.focus({ preventScroll: window.scrollY < 200 });
}

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.elt.id === "review" || event.detail.target?.id === "review") {
    begin();
    window.scrollTo({ top: 0 });
  }
});

if (!document.activeElement || document.activeElement === document.body) begin();
