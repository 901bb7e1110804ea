// Light, dark, or as the system has it; remembered where the browser keeps such things for the page.
(() => {
  "use strict";
  const themes = ["auto", "light", "dark"];
  const key = "semidbench-theme";
  const button = document.createElement("button");
  button.type = "button";
  button.id = "page.theme";
  button.className = "plain";

  function stored() {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }

  function apply(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  }

  let now = themes.includes(stored()) ? stored() : "auto";
  button.addEventListener("click", () => {
    now = themes[(themes.indexOf(now) + 1) % themes.length];
    apply(now);
    try {
      localStorage.setItem(key, now);
    } catch {
      // kept for this visit only
    }
  });
  apply(now);
  document.querySelector("header.page").append(button);
})();
