// What every page has: copy buttons, dialogs, menus, the remembered language of code. All of it is comfort: pages work
// without it.
import "./copy.js";

// dialogs: <button data-opens="id of a dialog" hidden>, <button data-closes> inside it
export function open(id) {
  const dialog = document.getElementById(id);
  if (!dialog || dialog.open) return;
  document.querySelectorAll("dialog[open]").forEach((other) => other.close());
  dialog.showModal(); // the browser gives the focus back to where it was
}
document.querySelectorAll("[data-opens]").forEach((button) => {
  if (document.getElementById(button.dataset.opens)) button.hidden = false;
});
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) open(opener.dataset.opens);
  if (event.target.closest("[data-closes]") || event.target.matches("dialog[open]")) event.target.closest("dialog").close();
});

// menus close when the pointer or the focus goes elsewhere, and on Escape
const closeMenus = (except) => document.querySelectorAll("details.menu[open]").forEach((menu) => { if (menu !== except) menu.open = false; });
document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("focusin", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// code: the language chosen once is shown everywhere
const LANGUAGE = "language";
const choose = (language) => document.querySelectorAll(`[data-language="${CSS.escape(language)}"]`).forEach((radio) => { radio.checked = true; });
try { if (localStorage.getItem(LANGUAGE)) choose(localStorage.getItem(LANGUAGE)); } catch { /* storage is forbidden */ }
document.addEventListener("change", (event) => {
  const language = event.target.dataset.language;
  if (!language) return;
  choose(language);
  try { localStorage.setItem(LANGUAGE, language); } catch { /* for this page only, then */ }
});

if (document.querySelector("[data-chart]")) import("./charts.js");
