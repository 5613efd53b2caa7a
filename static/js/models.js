// The catalogue's forms answer while one types: <form data-live="id"> asks the server for its own page and takes over the region
// with that id, the counts, and the address. Prices are worked out on the server alone. Without script the forms have buttons.
import { enableIn } from "./copy.js";

const PAUSE_MS = 250;

document.documentElement.classList.add("scripted");
document.querySelectorAll("form[data-live]").forEach(enliven);
const tray = document.querySelector("form[data-compare]");
if (tray) document.addEventListener("change", (event) => { if (isTick(event.target)) count(); });
if (tray) addEventListener("pageshow", count); // a page come back to still has its ticks

function enliven(form) {
  let timer, request;
  const later = () => { clearTimeout(timer); timer = setTimeout(ask, PAUSE_MS); };
  form.addEventListener("input", later);
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); ask(); });

  async function ask() {
    const url = new URL(form.action);
    url.search = asked(form);
    const region = document.getElementById(form.dataset.live);
    request?.abort();
    request = new AbortController();
    region.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(url, { signal: request.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      take(page, region);
      history.replaceState(history.state, "", url.pathname + url.search);
    } catch (error) {
      if (error.name !== "AbortError") location.assign(url); // the plain way shows what went wrong
    } finally {
      region.removeAttribute("aria-busy");
    }
  }
}

function asked(form) {
  const pairs = [...new FormData(form)].filter(([, value]) => value !== "");
  return new URLSearchParams(pairs).toString();
}

function take(page, region) {
  const ticked = [...document.querySelectorAll("input[form=compare]:checked")].map((box) => box.value);
  region.innerHTML = page.getElementById(region.id).innerHTML;
  for (const figure of document.querySelectorAll("[data-count]")) {
    const fresh = page.querySelector(`[data-count="${CSS.escape(figure.dataset.count)}"]`);
    if (fresh) figure.textContent = fresh.textContent;
  }
  enableIn(region);
  if (tray) keep(ticked);
}

// ------------------------------------------------------------ the compare tray
function isTick(element) { return element.getAttribute?.("form") === tray.id && element.name === "m"; }

function keep(ticked) {
  tray.replaceChildren();
  for (const slug of ticked) {
    const box = document.querySelector(`input[form=${tray.id}][value="${CSS.escape(slug)}"]`);
    if (box) box.checked = true;
    else tray.append(Object.assign(document.createElement("input"), { type: "hidden", name: "m", value: slug }));
  }
  count();
}

function count() {
  const most = Number(tray.dataset.most);
  const boxes = [...document.querySelectorAll(`input[type=checkbox][form=${tray.id}]`)];
  const picked = boxes.filter((box) => box.checked).length + tray.querySelectorAll("input[type=hidden]").length;
  for (const box of boxes) box.disabled = !box.checked && picked >= most;
  for (const place of document.querySelectorAll("[data-picked]")) place.textContent = picked ? ` (${picked}/${most})` : "";
}
