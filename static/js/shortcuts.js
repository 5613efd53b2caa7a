// Ctrl/Cmd+K opens the palette. Single keys, dead inside fields and off where the person says so: "/" goes to the page's
// search, "?" shows the sheet, "g" and a letter goes to the section that has it (data-go).
import { open } from "./app.js";

const GO_MS = 1500; // how long "g" waits for its letter
const singleKeys = document.getElementById("shortcuts").hasAttribute("data-single-keys");
let armedAt = -Infinity;

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    open("palette");
  } else if (singleKeys && !event.ctrlKey && !event.metaKey && !event.altKey && !isTyping(event.target)) {
    single(event);
  }
});

function single(event) {
  const isArmed = event.timeStamp - armedAt < GO_MS;
  armedAt = -Infinity;
  if (isArmed) document.querySelector(`[data-go="${CSS.escape(event.key)}"]`)?.click();
  else if (event.key === "g") armedAt = event.timeStamp;
  else if (event.key === "?") open("shortcuts");
  else if (event.key === "/") {
    event.preventDefault(); // the slash itself is not to be typed
    const search = document.querySelector("main input[type=search]");
    if (search) search.focus();
    else open("palette");
  }
}

function isTyping(target) {
  return target.isContentEditable || target.closest("input:not([type=radio], [type=checkbox]), textarea, select, dialog[open]") !== null;
}
