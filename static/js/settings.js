// Offers this browser's time zone beside the field that it would go into.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
for (const button of document.querySelectorAll("[data-zone-into]")) {
  const field = document.getElementById(button.dataset.zoneInto);
  if (!zone || field.value === zone) continue;
  button.textContent = button.dataset.zoneWord.replace("%s", zone);
  button.hidden = false;
  button.addEventListener("click", () => { field.value = zone; field.focus(); button.hidden = true; });
}
