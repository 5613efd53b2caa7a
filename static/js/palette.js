// The command palette: pages, models, keys, a pasted request id, actions. The list comes once, when it is first opened;
// the input keeps the focus and names the active line (a combobox with a list box).
import { open } from "./app.js";

const SHOWN_AT_MOST = 12;
const REQUEST_ID = /^gen-[0-9a-f]{32}$/;
const dialog = document.getElementById("palette");
const input = dialog.querySelector("input");
const list = dialog.querySelector("[role=listbox]");
const none = dialog.querySelector("[data-none]");
const status = dialog.querySelector("[role=status]");
const ACTIONS = {
  theme: () => document.querySelector("[data-theme-toggle]").click(),
  shortcuts: () => open("shortcuts"),
};
let source = null;
let shown = [];
let active = 0;

new MutationObserver(() => { if (dialog.open) begin(); }).observe(dialog, { attributeFilter: ["open"] });
input.addEventListener("input", show);
input.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && shown.length) {
    event.preventDefault();
    mark((active + step + shown.length) % shown.length);
  } else if (event.key === "Enter" && shown[active]) {
    event.preventDefault();
    run(shown[active]);
  }
});
list.addEventListener("click", (event) => {
  const line = event.target.closest("[role=option]");
  if (line) run(shown[[...list.children].indexOf(line)]);
});

async function begin() {
  input.value = "";
  input.focus();
  if (!source) {
    const answer = await fetch(dialog.dataset.source, { headers: { accept: "application/json" } });
    if (answer.redirected) return location.reload(); // logged out meanwhile: the page itself leads to the log-in
    source = await answer.json();
  }
  show();
}

function show() {
  const words = input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  shown = source ? source.items.filter((item) => words.every((word) => `${item.label} ${item.detail} ${item.kind}`.toLowerCase().includes(word))) : [];
  shown = shown.slice(0, SHOWN_AT_MOST);
  if (source?.request_url && REQUEST_ID.test(words[0] ?? "")) {
    shown = [{ label: source.request_label, detail: words[0], kind: "", url: source.request_url + words[0] }];
  }
  list.replaceChildren(...shown.map(line));
  none.hidden = shown.length > 0 || !source;
  status.textContent = words.length ? `${shown.length} ${status.dataset.count}` : "";
  mark(0);
}

function line(item, at) {
  const row = document.createElement("li");
  row.id = `palette-${at}`;
  row.setAttribute("role", "option");
  for (const [part, text] of [["label", item.label], ["detail", item.detail], ["kind", item.kind]]) {
    const span = document.createElement("span");
    span.className = `palette__${part}`;
    span.textContent = text;
    row.append(span);
  }
  return row;
}

function mark(at) {
  active = at;
  [...list.children].forEach((row, n) => row.setAttribute("aria-selected", String(n === at)));
  const row = list.children[at];
  if (row) input.setAttribute("aria-activedescendant", row.id);
  else input.removeAttribute("aria-activedescendant");
  row?.scrollIntoView({ block: "nearest" });
}

function run(item) {
  dialog.close();
  if (item.action) ACTIONS[item.action]();
  else location.assign(item.url);
}
