// Keys: comfort for the form, and a question before a key that is shown this once is left behind uncopied.
const form = document.querySelector("[data-key-form]");
if (form) limit(form);
document.querySelectorAll("[data-picker]").forEach(picker);
const reveal = document.querySelector("[data-reveal]");
if (reveal) guard();

// "No limit" greys out the amount; it stays filled, in case the tick is taken back
function limit(form) {
  const box = form.elements.is_unlimited;
  const follow = () => { for (const name of ["limit_nanos", "limit_window"]) form.elements[name].disabled = box.checked; };
  box.addEventListener("change", follow);
  form.addEventListener("submit", () => { for (const name of ["limit_nanos", "limit_window"]) form.elements[name].disabled = false; });
  follow();
}

// the search narrows the list of models; ticked ones stay in sight
function picker(fieldset) {
  const search = fieldset.querySelector("[data-picker-search]");
  const count = fieldset.querySelector("[data-picker-count]");
  const rows = [...fieldset.querySelectorAll(".check")];
  search.hidden = false;
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !row.querySelector("input").checked && !words.every((word) => text.includes(word));
    }
    count.textContent = `${rows.filter((row) => !row.hidden).length} ${count.dataset.pickerCount}`;
  });
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
}

// asks once; copying by button or by hand is enough. A flag, because a handler that removes itself is not heard by Chromium
function guard() {
  let isDone = false;
  addEventListener("beforeunload", (event) => {
    // browsers ask nobody who did nothing on the page, and complain of whoever tries
    if (isDone || navigator.userActivation?.hasBeenActive === false) return;
    isDone = true;
    event.preventDefault();
  });
  document.addEventListener("copy", () => { isDone = true; });
  document.addEventListener("click", (event) => { if (event.target.closest("[data-copy]")) isDone = true; });
}
