// The theme. Loaded in <head>, before anything is painted, so that nothing flashes. For somebody who is signed in the
// server has written their choice into data-theme (empty: as the system); for a stranger this browser remembers it.
{
  const root = document.documentElement;
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } }; // storage may be forbidden
  const store = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* for this page only, then */ } };

  if (!("theme" in root.dataset) && stored()) root.dataset.theme = stored();
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-toggle]");
    if (!button) return;
    event.preventDefault();
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    store(root.dataset.theme);
    if (button.form) save(button.form);
  });

  function save(form) {
    const body = new FormData(form);
    body.set("theme", root.dataset.theme);
    body.set("stays", "1");
    fetch(form.action, { method: "POST", body, keepalive: true });
  }
}
