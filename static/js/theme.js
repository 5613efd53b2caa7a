// The theme: the system's, unless a person chose another. Loaded in <head>, before anything is painted, so that nothing flashes.
{
  const root = document.documentElement;
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } }; // storage may be forbidden
  const store = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* for this page only, then */ } };

  if (stored()) root.dataset.theme = stored();
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    store(root.dataset.theme);
  });
}
