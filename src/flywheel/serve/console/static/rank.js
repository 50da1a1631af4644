// Ranking candidates: by dragging their letters, or one place forward and back.

function moved(candidates) {
  const exchange = candidates.closest(".exchange");
  const order = [...candidates.children].map((each) => each.dataset.index);
  exchange.querySelectorAll('[data-rank] [name="order"]').forEach((input, place) => {
    input.value = order[place];
  });
}

/** Says where a candidate stands now, to whoever does not see it move. */
function tell(candidate) {
  const all = [...candidate.parentElement.children];
  const places = { "{place}": all.indexOf(candidate) + 1, "{total}": all.length };
  document.getElementById("said").textContent =
    candidate.dataset.moved.replace(/\{(?:place|total)\}/g, (each) => places[each]);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-move]");
  if (!button) return;
  const candidate = button.closest(".candidate");
  const isForward = Number(button.dataset.move) < 0;
  const other = isForward ? candidate.previousElementSibling : candidate.nextElementSibling;
  if (!other) return;
  if (isForward) other.before(candidate);
  else other.after(candidate);
  moved(candidate.parentElement);
  button.focus();
  tell(candidate);
});

let dragged = null;
document.addEventListener("dragstart", (event) => {
  dragged = event.target.closest?.(".candidate .letter")?.closest(".candidate") ?? null;
  if (!dragged) return;
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", "");
  event.dataTransfer.setDragImage(dragged, 16, 16);
  dragged.classList.add("dragged");
});
document.addEventListener("dragover", (event) => {
  const over = event.target.closest?.(".candidate");
  if (!dragged || !over || over.parentElement !== dragged.parentElement) return;
  event.preventDefault();
  if (over === dragged) return;
  const all = [...over.parentElement.children];
  if (all.indexOf(over) > all.indexOf(dragged)) over.after(dragged);
  else over.before(dragged);
});
document.addEventListener("drop", (event) => {
  if (dragged) event.preventDefault();
});
document.addEventListener("dragend", () => {
  if (!dragged) return;
  dragged.classList.remove("dragged");
  moved(dragged.parentElement);
  dragged = null;
});
