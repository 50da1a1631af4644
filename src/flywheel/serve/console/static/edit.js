// Editing an answer in place: keys, and words of a passage that are selected as evidence.

const MOST_CHARS = 20000;

function cite(editor) {
  const selection = document.getSelection();
  const text = selection.toString().trim().slice(0, MOST_CHARS);
  const within = selection.anchorNode?.parentElement?.closest("[data-passage]");
  if (!text || !within || !editor.contains(within)) return;
  const chip = editor.querySelector("[data-chip]").content.cloneNode(true);
  chip.querySelector("input").value = text;
  chip.querySelector("q").textContent = text;
  editor.querySelector("[data-selected]").append(chip);
  selection.removeAllRanges();
}

document.addEventListener("selectionchange", () => {
  const selection = document.getSelection();
  const passage = selection.anchorNode?.parentElement?.closest("[data-passage]");
  for (const button of document.querySelectorAll("[data-cite]")) {
    const editor = button.closest(".editing");
    button.hidden = selection.isCollapsed || !passage || !editor.contains(passage);
  }
});

// The selection would be gone by the time of the click.
document.addEventListener("pointerdown", (event) => {
  if (event.target.closest("[data-cite]")) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-cite]");
  if (button) cite(button.closest(".editing"));
  event.target.closest("[data-drop]")?.closest("li").remove();
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
