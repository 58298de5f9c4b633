"use strict";
// The page works without this: it adds sliders, the time cursor, the wall of neurons and the table. Nothing is fetched.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const facts = JSON.parse($("#facts").textContent);
const made = (tag, text = "", props = {}) => Object.assign(document.createElement(tag), { textContent: text }, props);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const say = (text) => { $("#said").textContent = text; };
// Data URIs become blobs: videos seek in them everywhere, and 300 tiles share one decoded picture.
const blob = (uri) => {
  const [head, body] = uri.split(",");
  const bytes = Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: head.slice(5).split(";")[0] }));
};

// Theme -----------------------------------------------------------------------------------------------------------
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const remembered = (() => { try { return localStorage.getItem("sfumato-theme"); } catch { return null; } })();
if (remembered === "dark" || remembered === "light") root.dataset.theme = remembered;
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
const named = () => { $("#theme").textContent = isDark() ? "Light" : "Dark"; $("#theme").title = "Switch to the other theme"; };
$("#theme").hidden = false;
$("#theme").onclick = () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("sfumato-theme", root.dataset.theme); } catch { /* private windows keep nothing */ }
  named();
};
dark.addEventListener("change", named);
named();

// Painting against target: one slider moves all -------------------------------------------------------------------
const wipes = $$(".at");
for (const at of wipes) {
  at.oninput = () => {
    for (const one of wipes) { one.value = at.value; one.setAttribute("aria-valuetext", `${at.value} % painting`); }
    for (const stage of $$(".wipe .stage")) stage.style.setProperty("--at", `${at.value}%`);
  };
}
for (const box of $$(".sign")) {
  box.onchange = () => {
    for (const other of $$(".sign")) other.checked = box.checked;
    for (const kind of $$(".kind")) kind.hidden = (kind.dataset.kind === "signed") !== box.checked;
  };
}

// The time cursor ---------------------------------------------------------------------------------------------------
const runs = facts.runs;
const plots = $$(".plot");
if (plots.length) {
  const metric = $("#metric"), axis = $("#axis"), log = $("#log"), time = $("#time"), play = $("#play");
  let marks = [], timer = 0;
  const place = (x) => {
    const s = facts.scales[axis.value][log.checked ? "log" : "linear"];
    if (!s.log) return (x - s.low) / (s.high - s.low);
    if (x <= 0 || s.high <= s.low) return 0;
    const share = Math.log(x / s.low) / Math.log(s.high / s.low);
    return s.zero ? facts.start + (1 - facts.start) * share : share;
  };
  const beatOf = (run, x) => {
    let found = -1;
    run.beats.forEach((beat, k) => { if ((beat[axis.value] ?? 0) <= x) found = k; });
    return found;
  };
  const films = $$(".film").map((figure) => ({ run: +figure.dataset.run, video: $("video", figure), stills: $$("img", figure), wanted: -1 }));
  for (const film of films) {
    if (!film.video) continue;
    const source = film.video.getAttribute("src");
    film.video.src = blob(source);
    const seek = () => { // one seek at a time, the newest wins
      if (film.wanted >= 0 && !film.video.seeking && film.video.readyState > 0) {
        const t = (film.wanted + 0.5) / runs[film.run].film.fps;
        if (Math.abs(film.video.currentTime - t) > 1e-3) film.video.currentTime = Math.min(t, film.video.duration - 0.01);
      }
    };
    film.seek = seek;
    film.video.addEventListener("seeked", seek);
    film.video.addEventListener("loadeddata", seek);
    film.video.addEventListener("error", () => { film.video.replaceWith(made("p", "This browser cannot show H.264 video.")); });
  }
  const text = (key, value) => {
    if (value === undefined) return "–";
    if (value === null) return key.startsWith("psnr") ? "exact" : "–";
    if (typeof value !== "number") return String(value);
    if (key.startsWith("psnr")) return `${value.toFixed(2)} dB`;
    if (key.endsWith("_error")) return `${(100 * value).toFixed(2)} %`;
    return Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(4));
  };
  const columns = [["step", "step"], ["epoch", "epoch"], ["seconds", "seconds"], ...facts.keys];
  const head = made("thead"), body = made("tbody"), names = made("tr");
  if (runs.length > 1) names.append(made("th", "run", { scope: "col" }));
  for (const [, name] of columns) names.append(made("th", name, { scope: "col" }));
  head.append(names);
  runs.forEach((run, i) => {
    const row = made("tr");
    if (runs.length > 1) row.append(made("th", facts.labels[i].split(":")[0], { scope: "row" }));
    for (const _ of columns) row.append(made("td", "–"));
    body.append(row);
  });
  $("#readout").append(head, body);
  const show = () => {
    const x = marks[+time.value] ?? 0;
    for (const plot of plots) {
      plot.hidden = plot.dataset.metric !== metric.value || plot.dataset.axis !== axis.value || (plot.dataset.log === "1") !== log.checked;
      const cursor = $(".cursor", plot);
      cursor.hidden = false;
      cursor.style.left = `calc(${100 * place(x)}% - 1px)`;
    }
    runs.forEach((run, i) => {
      const beat = run.beats[beatOf(run, x)];
      const cells = $$("td", body.rows[i]);
      columns.forEach(([key], k) => { cells[k].textContent = beat ? text(key, beat[key]) : "–"; });
    });
    for (const film of films) {
      const beat = runs[film.run].beats[beatOf(runs[film.run], x)];
      const frame = Math.max(0, beat ? beat.frame : 0);
      if (film.video) { film.wanted = frame; film.seek(); } else film.stills.forEach((image, k) => { image.hidden = k !== frame; });
    }
    const first = runs[0].beats[beatOf(runs[0], x)];
    time.setAttribute("aria-valuetext", first ? `epoch ${text("epoch", first.epoch)}, ${facts.keys.map(([k, name]) => `${name} ${text(k, first[k])}`).join(", ")}` : "before the first look");
  };
  const remark = () => { // the moments of the chosen axis, of all runs together
    const x = marks[+time.value];
    marks = [...new Set(runs.flatMap((run) => run.beats.map((beat) => beat[axis.value] ?? 0)))].sort((a, b) => a - b);
    time.max = Math.max(0, marks.length - 1);
    time.value = x === undefined ? time.max : Math.max(0, marks.findIndex((m) => m >= x));
    show();
  };
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; play.setAttribute("aria-pressed", "false"); };
  const move = (by) => { time.value = +time.value + by; show(); };
  play.onclick = () => {
    if (timer) return stop();
    if (+time.value >= +time.max) time.value = 0;
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    const pace = still.matches ? 1 : Math.max(...runs.map((run) => (run.film ? run.film.fps : 8)));
    show();
    timer = setInterval(() => { move(1); if (+time.value >= +time.max) stop(); }, 1000 / pace);
  };
  time.oninput = () => { stop(); show(); };
  $("#back").onclick = () => { stop(); move(-1); };
  $("#on").onclick = () => { stop(); move(1); };
  metric.onchange = show;
  log.onchange = show;
  axis.onchange = remark;
  for (const area of $$(".area")) {
    const to = (event) => {
      const box = area.getBoundingClientRect(), share = (event.clientX - box.left) / box.width;
      let best = 0;
      marks.forEach((m, k) => { if (Math.abs(place(m) - share) < Math.abs(place(marks[best]) - share)) best = k; });
      stop();
      time.value = best;
      show();
    };
    area.onpointerdown = (event) => { area.setPointerCapture(event.pointerId); to(event); };
    area.onpointermove = (event) => { if (event.buttons) to(event); };
  }
  for (const part of $$("#learning .tools, .player, #readout")) part.hidden = false;
  remark();
}

// Neurons -----------------------------------------------------------------------------------------------------------
const table = facts.table, sheets = facts.sheets;
const column = Object.fromEntries((table ? table.columns : []).map(([key], k) => [key, k]));
const named3 = (value) => (value === null ? "" : String(value));
const rowOf = new Map((table ? table.rows : []).map((row) => [`${row[0]}:${row[1]}`, row]));
const spots = new Map(); // "layer:unit" -> where its tile is
for (const sheet of sheets) {
  const texture = $(`.sheet[data-layer="${sheet.layer}"] .texture`);
  sheet.texture = blob(texture.src);
  sheet.units.forEach((unit, place) => spots.set(`${sheet.layer}:${unit}`, { sheet, place }));
}
const paint = (element, key) => { // draw a tile as a piece of its sheet; false where it has none
  const spot = spots.get(key);
  if (!spot) return false;
  const { sheet, place } = spot, c = place % sheet.columns, r = Math.floor(place / sheet.columns);
  const [h, w] = sheet.tile, cut = Math.min(h, w) > 8 ? 1 : 0; // half a pixel less on each side: neighbours do not show
  const at = (k, n, size) => (n > 1 ? (100 * (k * size + cut / 2)) / ((n - 1) * size + cut) : 50);
  element.style.backgroundImage = `url("${sheet.texture}")`;
  element.style.backgroundSize = `${(100 * sheet.columns * w) / (w - cut)}% ${(100 * sheet.rows * h) / (h - cut)}%`;
  element.style.backgroundPosition = `${at(c, sheet.columns, w)}% ${at(r, sheet.rows, h)}%`;
  element.classList.toggle("pixel", !cut || w <= 48);
  element.style.aspectRatio = sheet.shape;
  return true;
};
const percent = new Set(["active", "saturated"]);
const shownValue = (key, value) => {
  if (value === null || value === undefined) return "";
  if (key === "dead") return value ? "dead" : "";
  if (percent.has(key)) return `${(100 * value).toFixed(1)} %`;
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 0.001 ? String(+value.toFixed(Math.abs(value) < 0.1 ? 4 : 3)) : value.toExponential(1);
};
const describe = (key) => {
  const row = rowOf.get(key), parts = [`Layer ${key.split(":")[0]} neuron ${key.split(":")[1]}`];
  if (row) {
    if (column.dead !== undefined && row[column.dead]) parts.push("dead");
    parts.push(`mean ${shownValue("mean", row[column.mean])}`, `active ${shownValue("active", row[column.active])}`);
  }
  return parts.join(", ");
};
let layer = sheets.length ? sheets[0].layer : 0;
const walls = new Map();
const buildTiles = () => {
  for (const sheet of sheets) {
    const box = $(`.sheet[data-layer="${sheet.layer}"] .tiles`), tiles = new Map();
    for (const unit of sheet.units) {
      const key = `${sheet.layer}:${unit}`, row = rowOf.get(key), tile = made("button", "", { type: "button", className: "tile", tabIndex: -1 });
      const face = made("span");
      paint(face, key);
      const lost = row && column.dead !== undefined && row[column.dead];
      if (lost) tile.classList.add("lost");
      tile.append(face, document.createTextNode(lost ? `${unit} †` : unit));
      tile.title = describe(key);
      tile.setAttribute("aria-label", describe(key));
      tile.dataset.key = key;
      tiles.set(key, tile);
    }
    walls.set(sheet.layer, { box, tiles, keys: [...tiles.keys()] });
    box.onclick = (event) => { const tile = event.target.closest(".tile"); if (tile) enlarge(tile.dataset.key); };
    box.onkeydown = (event) => {
      const wall = walls.get(sheet.layer), shown = $$(".tile", box), k = shown.indexOf(document.activeElement);
      if (k < 0) return;
      const across = getComputedStyle(box).gridTemplateColumns.split(" ").length;
      const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -k, End: shown.length - 1 - k }[event.key];
      if (by === undefined || !shown[k + by]) return;
      event.preventDefault();
      shown[k].tabIndex = -1;
      shown[k + by].tabIndex = 0;
      shown[k + by].focus();
      wall.last = shown[k + by].dataset.key;
    };
  }
};
const arrange = () => {
  const by = $("#order").value;
  for (const sheet of sheets) {
    const wall = walls.get(sheet.layer), figure = wall.box.parentElement;
    figure.hidden = sheet.layer !== layer;
    $(".texture", figure).hidden = true;
    wall.box.hidden = false;
    let units = [...sheet.units];
    if (by === "similarity") units = sheet.similar.map((k) => sheet.units[k]);
    else if (by !== "index") {
      const value = (unit) => rowOf.get(`${sheet.layer}:${unit}`)?.[column[by]] ?? -Infinity;
      units.sort((a, b) => value(b) - value(a) || a - b);
    }
    wall.keys = units.map((unit) => `${sheet.layer}:${unit}`);
    wall.box.replaceChildren(...wall.keys.map((key) => wall.tiles.get(key)));
    wall.box.firstElementChild.tabIndex = 0;
  }
  for (const button of $$("#layers button")) button.setAttribute("aria-pressed", String(+button.dataset.layer === layer));
};
const light = (key) => {
  for (const tile of $$(".tile.lit")) tile.classList.remove("lit");
  if (key) walls.get(+key.split(":")[0])?.tiles.get(key)?.classList.add("lit");
};
let current = "";
const enlarge = (key) => {
  const dialog = $("#large"), row = rowOf.get(key), [one, two] = $$(".big", dialog);
  current = key;
  $("#large-name").textContent = `Layer ${key.split(":")[0]}, neuron ${key.split(":")[1]}`;
  one.hidden = !paint(one, key);
  one.setAttribute("aria-label", describe(key));
  const twin = row && column.twin !== undefined && row[column.twin] !== null ? `${row[0]}:${row[column.twin]}` : "";
  $(".twin", dialog).hidden = !twin || !paint(two, twin);
  if (twin) {
    two.setAttribute("aria-label", describe(twin));
    $(".twin figcaption", dialog).textContent = `its twin ${row[column.twin]}, correlation ${shownValue("", row[column.twin_correlation])}`;
  }
  const list = $("dl", dialog);
  list.replaceChildren();
  if (row) {
    table.columns.forEach(([id, name], k) => {
      if (k < 2 || row[k] === null) return;
      const pair = made("div");
      pair.append(made("dt", name), made("dd", id === "dead" ? (row[k] ? "yes" : "no") : shownValue(id, row[k]) + (id === "importance_decibels" ? " dB" : "")));
      list.append(pair);
    });
  }
  light(key);
  if (!dialog.open) dialog.showModal();
};
const turn = (by) => {
  const wall = walls.get(+current.split(":")[0]), keys = wall ? wall.keys : [...rowOf.keys()];
  const next = keys[keys.indexOf(current) + by];
  if (next) { enlarge(next); say(describe(next)); }
};
$("#large .close").onclick = () => $("#large").close();
$("#large").onclick = (event) => { if (event.target === $("#large")) $("#large").close(); };
$("#large").addEventListener("close", () => light(""));
$("#large").onkeydown = (event) => { const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key]; if (by) { event.preventDefault(); turn(by); } };
for (const button of $$("#large [data-by]")) button.onclick = () => turn(+button.dataset.by);
if (sheets.length) {
  const words = { index: "number", mean: "mean", active: "share active", importance_decibels: "importance", strength: "strength", similarity: "similarity" };
  for (const [key, name] of Object.entries(words)) {
    if (key === "index" || key === "similarity" || key in column) $("#order").append(made("option", name, { value: key }));
  }
  $("#order").value = "active" in column ? "active" : "index";
  buildTiles();
  arrange();
  $("#order").onchange = arrange;
  for (const button of $$("#layers button")) button.onclick = () => { layer = +button.dataset.layer; arrange(); };
  $("#zoom").oninput = () => { for (const box of $$(".tiles")) box.style.setProperty("--tile", `${$("#zoom").value}px`); };
  $("#neurons .tools").hidden = false;
}

// The table ---------------------------------------------------------------------------------------------------------
if (table && table.rows.length) {
  let order = column.importance_decibels ?? column.strength ?? 0, falling = true, most = 30;
  const body = $("#table tbody"), only = $("#only"), lost = $("#lost"), find = $("#find");
  for (const n of new Set(table.rows.map((row) => row[0]))) only.append(made("option", n, { value: n }));
  const chosen = () => table.rows.filter((row) => {
    const wanted = find.value.trim();
    return (!only.value || row[0] === +only.value) && (!lost.checked || row[column.dead])
      && (!wanted || `${row[0]}:${row[1]}` === wanted || String(row[1]) === wanted);
  });
  const fill = () => {
    const rows = chosen();
    const rank = (row) => (row[order] === null ? -Infinity : row[order]);
    rows.sort((a, b) => {
      if (a[order] === null || b[order] === null) return (a[order] === null) - (b[order] === null); // the unknown last
      return (falling ? rank(b) - rank(a) : rank(a) - rank(b)) || a[0] - b[0] || a[1] - b[1];
    });
    body.replaceChildren(...rows.slice(0, most).map((row) => {
      const key = `${row[0]}:${row[1]}`, line = made("tr", "", { tabIndex: 0 });
      line.dataset.key = key;
      line.setAttribute("aria-label", describe(key));
      table.columns.forEach(([id], k) => {
        const cell = made("td", shownValue(id, row[k]));
        if (k === 1) {
          const thumb = made("span", "", { className: "thumb" }), box = made("span", "", { className: "cell" });
          if (paint(thumb, key)) { box.append(thumb, made("span", named3(row[1]))); cell.replaceChildren(box); }
        }
        line.append(cell);
      });
      return line;
    }));
    $("#more").hidden = rows.length <= most;
    $("#count").textContent = `${rows.length.toLocaleString("en")} neuron${rows.length === 1 ? "" : "s"}`;
    $$("#table th").forEach((cell, k) => cell.setAttribute("aria-sort", k !== order ? "none" : falling ? "descending" : "ascending"));
  };
  const under = (event) => event.target.closest("#table tbody tr");
  body.onclick = (event) => { const row = under(event); if (row) enlarge(row.dataset.key); };
  body.onkeydown = (event) => {
    const row = under(event);
    if (!row) return;
    const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
    if (event.key === "Enter" || next) event.preventDefault();
    if (event.key === "Enter") enlarge(row.dataset.key);
    else if (next) next.focus();
  };
  for (const name of ["mouseover", "focusin"]) body.addEventListener(name, (event) => { const row = under(event); if (row) light(row.dataset.key); });
  body.addEventListener("mouseleave", () => light(""));
  for (const button of $$("#table th button")) {
    button.onclick = () => {
      const k = +button.dataset.column;
      falling = k === order ? !falling : k > 1;
      order = k;
      fill();
    };
  }
  only.onchange = lost.onchange = find.oninput = fill;
  $("#more").onclick = () => { most += 100; fill(); };
  lost.parentElement.hidden = column.dead === undefined;
  only.parentElement.hidden = only.options.length < 3;
  $("#numbers .tools").hidden = false;
  fill();
}

// Copying -----------------------------------------------------------------------------------------------------------
for (const button of $$(".copy")) {
  button.hidden = false;
  button.onclick = async () => {
    const code = $("pre", button.parentElement);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch { getSelection().selectAllChildren(code); } // no clipboard here: it is marked, ready for the keyboard
  };
}
