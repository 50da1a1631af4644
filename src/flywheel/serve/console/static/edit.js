// Editing an answer in place: keys, and words of a passage that are selected as evidence.

const MOST_CHARS = 20000;

let selected = "";

function passageOf(selection) {
  return selection.anchorNode?.parentElement?.closest("[data-passage]");
}

function cite(editor) {
  if (!selected) return;
  const chip = editor.querySelector("[data-chip]").content.cloneNode(true);
  chip.querySelector("input").value = selected;
  chip.querySelector("q").textContent = selected;
  editor.querySelector("[data-selected]").append(chip);
  document.getSelection().removeAllRanges();
}

document.addEventListener("selectionchange", () => {
  const selection = document.getSelection();
  const passage = passageOf(selection);
  const text = selection.toString().trim().slice(0, MOST_CHARS);
  if (passage && text) selected = text;
  for (const button of document.querySelectorAll("[data-cite]")) {
    button.hidden = !text || !passage || !button.closest(".editing").contains(passage);
  }
});

// Pressing the button would take the selection away, and the button with it.
document.addEventListener("mousedown", (event) => {
  if (event.target.closest("[data-cite]")) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-cite]");
  if (button) cite(button.closest(".editing"));
  event.target.closest("[data-drop]")?.closest("li").remove();
  // Who selects words of a sentence does not tick it.
  if (event.target.closest(".piece") && !document.getSelection().isCollapsed) event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  const editor = event.target.closest?.(".editing");
  if (!editor || event.isComposing || event.keyCode === 229) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    editor.querySelector("form").requestSubmit();
  } else if (event.key === "Escape") {
    event.preventDefault();
    editor.querySelector("[data-cancel]").click();
  }
});

document.addEventListener("htmx:afterSettle", (event) => {
  const area = event.detail.elt.matches?.(".editing") ? event.detail.elt.querySelector("[data-edit]") : null;
  area?.focus();
});
