// Watches for calls with a key (<section data-watch>), and sends one from here (<button data-run>).
const EVERY_MS = 1500;
const FOR_MS = 10 * 60 * 1000;

const section = document.querySelector("[data-watch]");
const run = document.querySelector("[data-run]");
if (section) watch();
if (run) enable(run);

function watch() {
  const line = section.querySelector("[data-line]");
  let shown = section.dataset.after;
  let until = Date.now() + FOR_MS;
  if (!shown) line.classList.add("state--live");
  const timer = setInterval(tick, EVERY_MS);
  section.addEventListener("look", () => { until = Date.now() + FOR_MS; look(); });

  function tick() {
    if (Date.now() > until) {
      clearInterval(timer);
      if (!shown) say(section.dataset.stopped, "state--off");
    } else if (!document.hidden) look();
  }

  async function look() {
    const url = new URL(section.dataset.watch, location.href);
    url.searchParams.set("after", shown);
    try {
      const answer = await fetch(url);
      if (!answer.ok) return;
      const call = await answer.json();
      if (!call.html || call.id === shown) return;
      shown = call.id;
      section.querySelector("[data-call]").innerHTML = call.html;
      if (call.is_ok) document.querySelector("[data-first-step]")?.classList.add("done");
      say(call.is_ok ? section.dataset.received : section.dataset.refused, call.is_ok ? "" : "state--bad");
    } catch { /* the line is down: the next look will tell */ }
  }

  function say(words, mark) {
    line.className = `state ${mark}`.trim();
    line.textContent = words;
  }
}

// the very request that the snippet shows, with the key that stands on this page
function enable(button) {
  const word = button.querySelector("span");
  const label = word.textContent;
  const said = section.querySelector("[data-answer]");
  const failure = section.querySelector("[data-failure]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    word.textContent = button.dataset.busy;
    said.hidden = failure.hidden = true;
    try {
      const answer = await fetch("/api/v1/chat/completions", {
        method: "POST",
        headers: { Authorization: `Bearer ${document.getElementById("secret").textContent}`, "Content-Type": "application/json" },
        body: button.dataset.body,
        credentials: "omit",
      });
      const body = await answer.json();
      if (answer.ok) show(said, body.choices[0].message.content);
      else show(failure, `${answer.status} ${body.error.code}: ${body.error.message}`);
    } catch {
      show(failure, button.dataset.failed);
    }
    section.dispatchEvent(new Event("look"));
    button.disabled = false;
    word.textContent = label;
  });
}

function show(place, text) {
  place.textContent = text;
  place.hidden = false;
}
