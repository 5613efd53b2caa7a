// Shows what passkeys offer where the browser has them, and says so in the page when one was not confirmed.
if (window.PublicKeyCredential) for (const control of document.querySelectorAll("[data-passkey]")) control.hidden = false;
document.addEventListener("allauth.error", (event) => {
  event.preventDefault(); // the page says it; the console need not
  for (const text of document.querySelectorAll("[data-passkey-error]")) text.hidden = false;
});
