// Usage pages beyond their links and forms: filters that send themselves, bars that zoom, "t" for the table, and a request
// log that is walked with j and k, peeked into, and kept up to date; "c" copies a call's id. Single keys are off where the person says so.
import "./copy.js";

const POLL_MS = 3000;
const POLL_SLOWLY_MS = 15000; // after a while without anything new
const ROWS_MAX = 200; // kept on the page while it is live
const singleKeys = document.getElementById("shortcuts")?.hasAttribute("data-single-keys") ?? false;

document.querySelectorAll("[data-filters]").forEach(sendByItself);
document.querySelectorAll("[data-zoom]").forEach(zoomByBar);
document.querySelectorAll("[data-log]").forEach(walk);
document.querySelectorAll("[data-live]").forEach(follow);

if (singleKeys) document.addEventListener("keydown", (event) => {
  if (event.key !== "t" || isBusy(event)) return;
  const twin = document.querySelector("[data-chart] .twin");
  if (twin) twin.open = !twin.open;
});

function isBusy(event) {
  return event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog[open]") !== null;
}

function sendByItself(form) {
  form.querySelectorAll("[data-needed-without-script]").forEach((button) => { button.hidden = form.querySelector("input[type=date]") === null; });
  form.addEventListener("change", (event) => { if (event.target.matches("[data-sends]")) form.requestSubmit(); });
  // an empty choice says nothing: it need not stand in the address
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (value === "" && name !== "from" && name !== "to") formData.delete(name);
  });
}

function zoomByBar(list) {
  const figure = list.parentElement.querySelector("[data-chart]");
  const plot = figure?.querySelector("svg[role=img]");
  const bars = figure?.querySelectorAll(".twin tbody tr").length;
  if (!plot || !bars) return;
  plot.setAttribute("data-zooms", "");
  plot.addEventListener("click", (event) => {
    const box = plot.getBoundingClientRect();
    const bar = Math.floor(((event.clientX - box.left) / box.width) * bars);
    list.querySelector(`[data-bucket="${bar}"]`)?.click();
  });
}

// ---------------------------------------------------------------- the log

function walk(log) {
  const aside = log.querySelector("[data-peek]");
  const calls = () => [...log.querySelectorAll("[data-call]")];
  const current = () => log.querySelector("[data-call][aria-current]");
  log.querySelectorAll("[data-keys]").forEach((hint) => { hint.hidden = false; });
  let opener = current();

  const peek = async (link) => {
    const address = new URL(link.href);
    history.replaceState(null, "", address);
    const answer = await fetch(`${address.pathname}${address.search}&part=peek`);
    if (!answer.ok) return location.assign(address);
    aside.innerHTML = await answer.text();
    aside.hidden = false;
    log.classList.add("log--peek");
    current()?.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    opener = link;
  };
  const close = () => {
    if (aside.hidden) return;
    aside.hidden = true;
    aside.replaceChildren();
    log.classList.remove("log--peek");
    current()?.removeAttribute("aria-current");
    const address = new URL(location);
    address.searchParams.delete("peek");
    history.replaceState(null, "", address);
    opener?.focus();
  };
  const move = (step) => {
    const links = calls();
    const at = links.indexOf(document.activeElement.closest?.("[data-call]") ?? current());
    const next = links[Math.min(Math.max(at + step, 0), links.length - 1)];
    next?.focus();
    if (!aside.hidden && next) peek(next);
  };
  log.addEventListener("click", (event) => {
    const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0;
    const link = event.target.closest("[data-call]");
    if (plain && link) { event.preventDefault(); peek(link); }
    if (plain && event.target.closest("[data-close]")) { event.preventDefault(); close(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.target.closest("dialog[open], details[open]")) return close();
    if (!singleKeys || isBusy(event)) return;
    if (event.key === "j") move(1);
    if (event.key === "k") move(-1);
    if (event.key === "c") copyId(document.activeElement.closest?.("[data-call]") ?? current());
  });
}

async function copyId(link) {
  if (!link || !navigator.clipboard) return;
  await navigator.clipboard.writeText(link.dataset.call);
  const announce = document.querySelector("[data-announce]");
  announce.textContent = `${announce.dataset.copied}: ${link.dataset.call}`;
}

// ---------------------------------------------------------------- live

function follow(state) {
  const words = [state.textContent, state.dataset.paused];
  const pause = document.querySelector("[data-pause]");
  const rows = document.querySelector("[data-rows]");
  const announce = document.querySelector("[data-announce]");
  let isPaused = false;
  let quietRounds = 0;
  state.hidden = pause.hidden = false;

  const ask = async () => {
    const newest = rows.querySelector("[data-cursor]")?.dataset.cursor;
    const address = new URL(location);
    for (const name of ["peek", "before"]) address.searchParams.delete(name);
    if (newest) address.searchParams.set("after", newest);
    address.searchParams.set("part", "rows");
    const answer = await fetch(address, { redirect: "error" });
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = document.createElement("template");
    fresh.innerHTML = await answer.text();
    const lines = [...fresh.content.querySelectorAll("tr")];
    quietRounds = lines.length ? 0 : quietRounds + 1;
    if (!lines.length) return;
    // their addresses must not keep this question's cursor
    lines.forEach((line) => {
      line.classList.add("fresh");
      line.querySelectorAll("a").forEach((link) => { const to = new URL(link.href, location); to.searchParams.delete("after"); link.href = to.search; });
    });
    rows.prepend(...lines);
    [...rows.children].slice(ROWS_MAX).forEach((line) => line.remove());
    announce.textContent = `${lines.length} ${announce.dataset.words}`;
  };
  const round = async () => {
    if (!isPaused && !document.hidden) {
      try { await ask(); } catch { setPaused(true); } // signed out or away: the page says so instead of trying on
    }
    setTimeout(round, quietRounds < 20 ? POLL_MS : POLL_SLOWLY_MS);
  };
  const setPaused = (value) => {
    isPaused = value;
    pause.setAttribute("aria-pressed", String(value));
    state.textContent = words[Number(value)];
    state.classList.toggle("state--live", !value);
    state.classList.toggle("state--off", value);
  };
  pause.addEventListener("click", () => setPaused(!isPaused));
  setTimeout(round, POLL_MS);
}
