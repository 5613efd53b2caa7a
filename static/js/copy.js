// Copy buttons: <button data-copy="id of the element" data-copied="Copied" hidden>. Shown only where copying works
// (a secure context); the word changes in the button itself and in a polite status, so that everybody learns of it.
const status = document.createElement("p");
status.className = "sr";
status.setAttribute("role", "status");
document.body.append(status);

enableIn(document);

/** Also for a part of the page that came later. */
export function enableIn(part) {
  if (navigator.clipboard) part.querySelectorAll("[data-copy]").forEach(enable);
}

function enable(button) {
  const word = button.querySelector("[data-word]");
  const label = word.textContent;
  let timer;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    status.textContent = word.textContent = button.dataset.copied;
    clearTimeout(timer);
    timer = setTimeout(() => { word.textContent = label; status.textContent = ""; }, 2000);
  });
}
