// A button that copies each row's command.
(() => {
  "use strict";
  for (const place of document.querySelectorAll(".command")) {
    const code = place.querySelector("code");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy the command of row ${place.closest("details").querySelector(".label").textContent}`);
    place.append(button);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code); // no clipboard here: selected, for the user to copy
        button.textContent = "Selected";
      }
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }
})();
