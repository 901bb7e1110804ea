// One track at a time, chosen by the address's fragment; opens what a link leads into.
(() => {
  "use strict";
  const tracks = [...document.querySelectorAll("section.track")];
  const links = [...document.querySelectorAll("nav a[data-track]")];

  function choose() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const holder = target?.closest("section.track");
    const shown = holder ?? tracks.find((track) => !track.hidden);
    for (const track of tracks) track.hidden = track !== shown;
    for (const link of links) {
      if (link.dataset.track === shown.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target?.scrollIntoView();
  }

  document.documentElement.classList.add("scripted");
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
  if (tracks.length === 0) return;
  addEventListener("hashchange", choose);
  choose();
})();
