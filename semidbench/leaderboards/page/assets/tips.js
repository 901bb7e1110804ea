// A note on each number and mark: which rows it is above, by how much, and whether that holds.
(() => {
  "use strict";
  const tip = document.getElementById("page.tip");
  let anchor = null;
  let leaving = 0;
  let pointer = ""; // where it was last
  let dismissedAt = null; // where it rested when a note was dismissed: what then comes to lie under it stays quiet

  const element = (tag, text, className) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  /** A row's name, which may break after a slash. */
  function named(name) {
    const made = element("bdi", "", "name");
    made.dir = "ltr"; // a name in Hebrew, too, reads embedder/quantizer/layout
    name.split("/").forEach((part, i) => made.append(...(i ? ["/", document.createElement("wbr"), part] : [part])));
    return made;
  }

  function place() {
    if (!anchor) return;
    const { clientWidth, clientHeight } = document.documentElement;
    const at = anchor.getBoundingClientRect();
    tip.style.maxHeight = "";
    const { width, height } = tip.getBoundingClientRect();
    const above = at.top - 12;
    const below = clientHeight - at.bottom - 12;
    const under = height <= below || below >= above;
    const shown = Math.min(height, Math.max(under ? below : above, 80));
    tip.style.maxHeight = `${shown}px`;
    tip.style.left = `${Math.max(0, Math.min(Math.max(8, at.left + at.width / 2 - width / 2), clientWidth - width - 8))}px`;
    tip.style.top = `${under ? at.bottom + 8 : at.top - shown - 8}px`;
  }

  function show(on, content) {
    clearTimeout(leaving);
    if (anchor === on && !tip.hidden) return;
    hide();
    anchor = on;
    anchor.setAttribute("aria-describedby", tip.id);
    tip.replaceChildren(...content());
    tip.hidden = false;
    tip.scrollTop = 0;
    place();
  }

  function hide() {
    clearTimeout(leaving);
    anchor?.removeAttribute("aria-describedby");
    anchor = null;
    tip.hidden = true;
  }

  const hideSoon = () => {
    clearTimeout(leaving);
    leaving = setTimeout(hide, 150);
  };

  const placed = (event) => `${event.clientX} ${event.clientY}`;

  /** Show `content()` while a part of `root` that matches is hovered, focused or tapped. */
  function explain(root, selector, content) {
    const found = (event) => event.target.closest?.(selector);
    for (const type of ["pointerover", "focusin", "click"]) {
      root.addEventListener(type, (event) => {
        const on = found(event);
        if (type === "pointerover" && placed(event) === dismissedAt) return;
        if (on && root.contains(on)) show(on, () => content(on));
      });
    }
    root.addEventListener("pointerout", (event) => event.pointerType === "mouse" && found(event) && hideSoon());
    root.addEventListener("focusout", (event) => found(event) && hideSoon());
  }

  tip.addEventListener("pointerover", () => clearTimeout(leaving));
  tip.addEventListener("pointerout", hideSoon);
  document.addEventListener("keydown", (event) => {
    if (tip.hidden) return;
    if (event.key === "Escape") {
      dismissedAt = pointer;
      hide();
    }
    if (event.key === "PageDown" || event.key === "PageUp") {
      tip.scrollBy(0, (event.key === "PageDown" ? 0.8 : -0.8) * tip.clientHeight);
      event.preventDefault();
    }
  });
  document.addEventListener("pointerdown", (event) => {
    if (anchor && !tip.contains(event.target) && !anchor.contains(event.target)) hide();
  });
  document.addEventListener("pointermove", (event) => (pointer = placed(event)), { passive: true });
  addEventListener("scroll", place, { capture: true, passive: true });
  addEventListener("resize", place);

  const VERDICTS = ["unsettled", "likely", "holds", "not tested"];

  // The packed verdicts of a column; semidbench/leaderboards/page/pairs.py says how they are packed.
  function unpack(column, n) {
    const pairs = (n * (n - 1)) / 2;
    const entries = {};
    for (const [name, text] of Object.entries(column)) {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const view = new DataView(bytes.buffer);
      const wide = bytes.length === 2 * pairs;
      const signed = ["difference", "low", "high"].includes(name);
      const read = signed ? "getInt16" : wide ? "getUint16" : "getUint8";
      entries[name] = (i) => view[read](wide ? 2 * i : i, true);
    }
    return (a, b) => {
      const [low, high] = a < b ? [a, b] : [b, a];
      const i = (low * (2 * n - low - 1)) / 2 + high - low - 1;
      const code = entries.verdict(i);
      return {
        p: printed(entries.p(i)),
        difference: ((a < b ? 1 : -1) * entries.difference(i)) / 1000,
        low: (a < b ? entries.low(i) : -entries.high(i)) / 1000,
        high: (a < b ? entries.high(i) : -entries.low(i)) / 1000,
        ahead: entries[a < b ? "ahead" : "behind"](i),
        seeds: entries.seeds(i),
        better: code & 4 ? low : high,
        verdict: VERDICTS[code & 3],
        reversed: Boolean(code & 8),
      };
    };
  }

  function printed(code) {
    if (code === 65535) return "–";
    if (code === 65534) return "0.0e+00";
    if (code === 0) return "1";
    const exponent = Math.floor(code / 90);
    return `${((10 + (code % 90)) / 10).toFixed(1)}e${exponent ? "-" : "+"}${String(exponent).padStart(2, "0")}`;
  }

  const signed = (value) => `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(3)}`;

  function belowTable(lines, names, level) {
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const text of ["Above", "by", "verdict", level, "p (Holm)", "seeds ahead"]) {
      const header = element("th", text);
      header.scope = "col";
      head.append(header);
    }
    const body = table.createTBody();
    for (const [other, test] of lines) {
      const row = body.insertRow();
      const name = document.createElement("th");
      name.scope = "row";
      name.append(`${other + 1} `, named(names[other]));
      row.append(name);
      const interval = `${signed(test.low)} to ${signed(test.high)}`;
      const seeds = test.seeds ? `${test.ahead}/${test.seeds}` : "–";
      const verdict = test.reversed ? `${test.verdict} (in All the reverse holds)` : test.verdict;
      for (const text of [test.difference.toFixed(3), verdict, interval, test.p, seeds]) row.append(element("td", text));
    }
    return table;
  }

  function note(names, test, a, title, units, level) {
    const lines = names.map((_, b) => b).filter((b) => b !== a).map((b) => [b, test(a, b)]);
    const settled = lines.filter(([, one]) => one.verdict === "holds" || one.verdict === "likely");
    const below = settled.filter(([, one]) => one.better === a);
    const numbers = (chosen) => chosen.map(([b]) => b + 1).join(", ");
    const holding = below.filter(([, one]) => one.verdict === "holds").length;
    const heading = element("p", "");
    const row = element("strong", `${a + 1} `);
    row.append(named(names[a]));
    heading.append(row, element("br", ""), title);
    if (units) heading.append(element("br", ""), `Tested on ${units}.`);
    const content = [heading];
    content.push(element("p", `Above ${below.length} of ${lines.length} rows; for ${holding} of these it holds, for the rest it is likely.`));
    if (below.length) content.push(belowTable(below, names, level));
    const others = [
      ["Below, which holds", settled.filter(([, one]) => one.better !== a && one.verdict === "holds")],
      ["Below, which is likely", settled.filter(([, one]) => one.better !== a && one.verdict === "likely")],
      ["Unsettled", lines.filter(([, one]) => one.verdict === "unsettled")],
      ["Not tested", lines.filter(([, one]) => one.verdict === "not tested")],
    ];
    for (const [what, found] of others) if (found.length) content.push(element("p", `${what}: ${numbers(found)}.`, "weak"));
    return content;
  }

  function tellable(table) {
    const track = table.dataset.track;
    const packed = JSON.parse(document.querySelector(`script.pairs[data-track="${track}"]`).textContent);
    const tests = new Map();
    const rows = [...table.querySelectorAll(".schemes tr")];
    const names = rows.map((row) => row.querySelector(".name").textContent);
    const tasks = [...table.tHead.querySelectorAll(".task")].flatMap((task) => Array(task.colSpan).fill(task.textContent));
    const groups = [...table.tHead.rows[1].cells].map((cell) => cell.dataset.group);
    const units = [...table.tHead.rows[1].cells].map((cell) => cell.dataset.units);
    rows.forEach((row, a) => {
      [...row.cells].slice(2).forEach((cell, column) => {
        const button = element("button", "", "tell");
        button.type = "button";
        button.tabIndex = a || column ? -1 : 0;
        button.dataset.row = a;
        button.dataset.column = column;
        button.append(...[...cell.childNodes].filter((node) => !node.classList?.contains("bar")));
        cell.prepend(button);
      });
    });
    table.setAttribute("role", "grid");
    explain(table, ".tell", (button) => {
      const [a, column] = [Number(button.dataset.row), Number(button.dataset.column)];
      if (!tests.has(column)) tests.set(column, unpack(packed.columns[column], packed.rows));
      const value = `${button.querySelector(".mean").textContent} ${button.querySelector(".std").textContent}`;
      const title = `${tasks[column]} ${groups[column]}: ${value.trim()}`;
      return note(names, tests.get(column), a, title, units[column], packed.level);
    });
    table.addEventListener("keydown", (event) => move(table, event));
  }

  /** Arrows go from number to number: the table is one stop for the tabulator. */
  function move(table, event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const from = event.target.closest(".tell");
    if (!step || !from) return;
    event.preventDefault();
    const rows = [...table.querySelectorAll(".schemes tr:not([hidden])")].map((row) => [...row.querySelectorAll(".tell")]);
    const at = rows.findIndex((row) => row.includes(from));
    const to = rows[at + step[0]]?.[rows[at].indexOf(from) + step[1]];
    if (!to) return;
    from.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }

  function linked(svg) {
    const table = document.querySelector(`table[data-track="${svg.dataset.track}"]`);
    const marks = new Map([...svg.querySelectorAll(".mark")].map((mark) => [mark.dataset.row, mark]));
    for (const mark of marks.values()) mark.querySelector("title").remove(); // the note stands in for it
    explain(svg, ".mark", (mark) => {
      const label = mark.getAttribute("aria-label");
      const end = label.lastIndexOf(": search ");
      return [element("strong", label.slice(0, end)), element("p", label.slice(end + 2))];
    });
    const link = (row, on) => {
      table.querySelector(`tr[data-row="${row}"]`).classList.toggle("linked", on);
      marks.get(row)?.classList.toggle("linked", on);
    };
    const rowOf = (event) => event.target.closest?.("[data-row]:is(tr, .mark)")?.dataset.row;
    for (const root of [svg, table]) {
      for (const [type, on] of [["pointerover", true], ["focusin", true], ["pointerout", false], ["focusout", false]]) {
        root.addEventListener(type, (event) => rowOf(event) !== undefined && link(rowOf(event), on));
      }
    }
  }

  for (const table of document.querySelectorAll("table.board")) tellable(table);
  for (const svg of document.querySelectorAll(".tradeoff svg")) linked(svg);
})();
