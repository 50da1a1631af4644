// The form of a question: pieces of evidence are added, taken out, and picked from passages.
// No words stand here: they come from the page.

const form = document.querySelector("[data-exam-form]");
const pieces = form?.querySelector("[data-evidence]");
const blank = form?.querySelector("[data-evidence-blank]");

/** Another piece of evidence: in an empty field, or in a new one. */
function add(text) {
  const empty = [...pieces.querySelectorAll("textarea")].find((each) => !each.value.trim());
  const field = empty || append();
  field.value = text;
  return field;
}

function append() {
  pieces.append(blank.content.cloneNode(true));
  return pieces.lastElementChild.querySelector("textarea");
}

/** What is selected within a passage; else all of it. */
function quoted(passage) {
  const selection = window.getSelection();
  const text = passage.querySelector("[data-passage-text]");
  const within = selection.rangeCount && text.contains(selection.anchorNode) && text.contains(selection.focusNode);
  return (within && selection.toString().trim()) || text.textContent.trim();
}

// The selection goes when a button takes the focus.
let chosen = "";
document.addEventListener("pointerdown", (event) => {
  const button = event.target.closest("[data-evidence-use]");
  chosen = button ? quoted(button.closest("[data-passage]")) : "";
});

document.addEventListener("click", (event) => {
  if (!form) return;
  const use = event.target.closest("[data-evidence-use]");
  if (use) {
    add(chosen || quoted(use.closest("[data-passage]"))).focus();
    chosen = "";
  } else if (event.target.closest("[data-evidence-add]")) {
    append().focus();
  } else if (event.target.closest("[data-evidence-remove]")) {
    const piece = event.target.closest("[data-piece]");
    if (pieces.children.length > 1) piece.remove();
    else piece.querySelector("textarea").value = "";
    pieces.querySelector("textarea").focus();
  }
});
