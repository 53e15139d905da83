// The switch between light and dark. Without a choice the system decides; a choice is remembered where that is allowed.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const remembered = () => { try { return localStorage.getItem("striate-theme"); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem("striate-theme", theme); } catch { /* a page from disk may be refused storage */ } };
  const shown = () => root.dataset.theme || (system.matches ? "dark" : "light");
  const chosen = remembered();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => {
      const other = shown() === "dark" ? "light" : "dark";
      button.textContent = other;
      button.setAttribute("aria-label", `Switch to the ${other} page`);
    };
    button.addEventListener("click", () => {
      root.dataset.theme = shown() === "dark" ? "light" : "dark";
      remember(root.dataset.theme);
      label();
    });
    system.addEventListener("change", label);
    label();
    button.hidden = false;
  });
})();
