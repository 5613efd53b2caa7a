// What a typed amount costs, while it is typed. Without this the next page shows it; the server works it out again anyway.
const NANOS_PER_CENT = 10_000_000;
document.querySelectorAll("[data-top-up]").forEach(reckon);

function reckon(form) {
  const other = form.elements.other;
  const box = form.querySelector("[data-other]");
  const lines = box.querySelector("[data-sum]");
  const button = box.querySelector("[data-pay]");
  const sentence = lines.querySelector("[data-sentence]");

  const follow = () => {
    const credit = cents(other.value);
    const isKnown = credit !== null && credit >= form.dataset.least / NANOS_PER_CENT && credit <= form.dataset.most / NANOS_PER_CENT;
    lines.hidden = !isKnown;
    button.textContent = button.dataset.unknown;
    button.value = "";
    if (!isKnown) return;
    const fee = Math.ceil((credit * form.dataset.fee) / 10_000);
    const words = { credit: usd(credit), fee: usd(fee), total: usd(credit + fee) };
    for (const [name, text] of Object.entries(words)) lines.querySelector(`[data-${name}]`)?.replaceChildren(text);
    sentence.textContent = filled(sentence.dataset.sentence, words);
    button.textContent = filled(button.dataset.words, words);
    button.value = credit + fee;
  };
  other.addEventListener("input", follow);
  form.addEventListener("change", (event) => { if (event.target.value === "other") other.focus(); });
  // Enter presses the first button of a form, which is a tile's
  other.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); button.click(); } });
  follow();
}

function cents(text) {
  const parts = /^\$?(\d{1,4})(?:\.(\d\d))?$/.exec(text.trim());
  return parts ? Number(parts[1]) * 100 + Number(parts[2] ?? 0) : null;
}

function usd(cents) {
  return `$${Math.floor(cents / 100).toLocaleString("en-US")}.${String(cents % 100).padStart(2, "0")}`;
}

function filled(pattern, words) {
  return pattern.replace(/\{(\w+)\}/g, (_all, name) => words[name]);
}
