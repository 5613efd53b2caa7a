// A payment that is not over: asks for its state until it changes, then shows the page anew.
const section = document.querySelector("[data-payment]");
const EVERY_MS = 2000;
const SLOWLY_MS = 15_000; // after a while without news
const ROUNDS_FAST = 30;
const ROUNDS_MOST = 150; // about half an hour; then the page stands as it is, with its link
let rounds = 0;

document.querySelector("[data-watch]").hidden = false;
setTimeout(round, EVERY_MS);

async function round() {
  if (!document.hidden && (await hasChanged())) return location.reload();
  rounds += 1;
  if (rounds < ROUNDS_MOST) setTimeout(round, rounds < ROUNDS_FAST ? EVERY_MS : SLOWLY_MS);
  else document.querySelector("[data-watch]").hidden = true;
}

async function hasChanged() {
  try {
    const answer = await fetch(section.dataset.payment, { redirect: "error" });
    return answer.ok && (await answer.json()).status !== section.dataset.status;
  } catch {
    return false; // the line is down: the next round will tell
  }
}
