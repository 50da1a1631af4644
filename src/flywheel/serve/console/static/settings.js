// Copies what a button [data-copies="id"] names, and takes a secret off the page when it is left,
// so that going back does not show it again.

function selected(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    // Without TLS a browser has no clipboard for scripts: what is selected, a reader copies himself.
    selected(element);
    return document.execCommand("copy");
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copies]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copies);
  if (source && (await copy(source))) {
    button.querySelector("span").textContent = button.dataset.copied;
    button.setAttribute("aria-live", "polite");
  }
});

window.addEventListener("pagehide", () => {
  for (const each of document.querySelectorAll("[data-secret]")) each.textContent = "";
});
