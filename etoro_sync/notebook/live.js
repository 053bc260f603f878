// The live table of a notebook. The kernel sends numbered messages; what they add up to is kept in
// the model, so that every view of it shows the same. All text comes from the network: it is set as
// textContent only.

const SVG = "http://www.w3.org/2000/svg";
// Milliseconds after which what the kernel sent last is old; it sends a message a second.
const SILENCE = 3000;
// Points of a sparkline, as in contents.py; and its size.
const POINTS = 120;
const WIDTH = 120;
const HEIGHT = 20;
const COLUMNS = ["instrument", "bid", "ask", "spread", "change", "last 2 min", "age"];
const TEXTS = ["bid", "ask", "spread", "change"];
// The quickest way of a message, by the kernel's process. In the window, since each table has this
// module for itself.
const quickest = (globalThis.etoroSyncQuickest ??= {});

// Milliseconds that a message took longer than the quickest one. The clocks of two machines may
// differ, so that only differences count; and drift, so that the measure gives way by a thousandth.
function lateness({ process, at }) {
  const wall = Date.now();
  const way = wall - at * 1000;
  const best = quickest[process] ?? { way, wall };
  const least = Math.min(way, best.way + (wall - best.wall) / 1000);
  quickest[process] = { way: least, wall };
  return way - least;
}

// How late the last message came, and how long ago; null if this page has heard none: a notebook may
// be saved with the state of its widgets, and be opened much later. Of the clocks one stands still
// while the machine sleeps, and the other may be set back.
function since({ heard }) {
  if (heard?.page !== performance.timeOrigin) return null;
  const silent = Math.max(performance.now() - heard.ticks, Date.now() - heard.wall);
  return { late: heard.late, silent };
}

function merge(state, message) {
  const missed = state.missed || message.number !== state.number + 1;
  const rows = message.full ? message.rows : { ...state.rows };
  if (!message.full) {
    for (const [id, cells] of Object.entries(message.rows)) {
      const row = { ...rows[id], ...cells };
      if ("id" in row) rows[id] = row; // else its beginning was missed
    }
  }
  const next = {
    number: message.number,
    head: message.head,
    order: message.order,
    rows,
    history: state.history,
    missed: missed && !message.full,
    heard: {
      page: performance.timeOrigin,
      ticks: performance.now(),
      wall: Date.now(),
      late: lateness(message.head),
    },
  };
  if (message.step) {
    next.history = {};
    for (const id of next.order) {
      const row = next.rows[id];
      const fresh = row && !row.old && next.head.state === "live";
      const points = state.history[id] ?? [];
      next.history[id] = [...points, fresh ? row.mid : null].slice(-POINTS);
    }
  }
  return next;
}

function initialize({ model }) {
  model.on("msg:custom", (message) => {
    const before = model.get("snapshot");
    const state = merge(before, message);
    if (state.missed && !before.missed) {
      // A kernel that is busy answers late; it sends all rows every few seconds anyway.
      model.send({ want: "all" });
    }
    model.set("snapshot", state);
  });
}

function element(tag, className, parent) {
  const made = document.createElement(tag);
  made.className = className;
  parent?.append(made);
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function duration(seconds) {
  if (seconds < 1) return "< 1 s";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

function path(points) {
  const numbers = points.filter(Number.isFinite);
  const low = Math.min(...numbers);
  const range = Math.max(...numbers) - low;
  const step = WIDTH / (POINTS - 1);
  const begin = POINTS - points.length;
  let pen = "M";
  let drawn = "";
  points.forEach((value, index) => {
    if (!Number.isFinite(value)) {
      pen = "M"; // a gap stays one
      return;
    }
    const height = range > 0 ? (value - low) / range : 0.5;
    const y = HEIGHT - 2 - height * (HEIGHT - 4);
    drawn += `${pen}${((begin + index) * step).toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  return drawn;
}

function makeRow(body) {
  const line = element("tr", "", body);
  const first = element("td", "etoro-instrument", line);
  const row = { line, name: element("span", "", first), id: element("small", "", first) };
  for (const each of TEXTS) row[each] = element("td", `etoro-${each}`, line);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("aria-hidden", "true");
  row.path = document.createElementNS(SVG, "path");
  svg.append(row.path);
  element("td", "etoro-spark", line).append(svg);
  row.age = element("td", "etoro-age", line);
  return row;
}

function drawRow(row, cells, points) {
  if (row.cells !== cells) {
    row.cells = cells;
    setText(row.name, cells.name || cells.id);
    row.name.title = cells.name; // which may be cut
    setText(row.id, cells.name ? ` ${cells.id}` : "");
    for (const each of TEXTS) setText(row[each], cells[each]);
    const move = cells.move > 0 ? "etoro-up" : cells.move < 0 ? "etoro-down" : "";
    row.line.className = `${move}${cells.old ? " etoro-old" : ""}`;
    const sign = cells.change.charAt(0);
    row.change.dataset.sign = sign;
  }
  if (row.points !== points && points) {
    row.points = points;
    row.path.setAttribute("d", path(points));
  }
}

function problem(state, late, silent) {
  const { head } = state;
  if (head.ended) return `${head.detail} These are the last prices.`.trim();
  const seconds = Math.floor((late + silent) / 1000);
  if (silent > SILENCE) {
    return `Nothing has come from the kernel for ${seconds} s: these prices are old.`;
  }
  if (late + silent > SILENCE) {
    return `What comes from the kernel is ${seconds} s late: these prices are old.`;
  }
  if (head.state === "reconnecting") return "The connection is lost: these prices are old.";
  if (head.state !== "live") return "The stream is not connected.";
  return state.missed ? "Some updates were missed; all prices come within a few seconds." : "";
}

function headline({ head }, passed) {
  if (head.ended) return `since ${new Date(head.at * 1000).toLocaleString()}`;
  const parts = [];
  if (head.age !== null) parts.push(`last message ${duration(head.age + passed)} ago`);
  parts.push(`${head.per_second} messages/s`);
  return parts.join(" · ");
}

function render({ model, el }) {
  const root = element("div", "etoro-live", el);
  const hiding = element("style", "", root);
  const head = element("div", "etoro-head", root);
  const name = element("span", "etoro-state", head);
  const about = element("span", "etoro-about", head);
  const notice = element("div", "etoro-notice", root);
  notice.setAttribute("role", "status");
  const frame = element("div", "etoro-frame", root);
  const table = element("table", "", frame);
  const headings = element("tr", "", element("thead", "", table));
  for (const each of COLUMNS) element("th", "", headings).textContent = each;
  const body = element("tbody", "", table);
  const note = element("div", "etoro-note", root);
  const rows = new Map();
  let order = null;

  function drawRows(state) {
    const ids = state.order.join();
    if (ids !== order) {
      order = ids;
      const kept = new Set(state.order);
      for (const [id, row] of rows) {
        if (!kept.has(id)) {
          row.line.remove();
          rows.delete(id);
        }
      }
      for (const id of state.order) {
        if (!rows.has(id)) rows.set(id, makeRow(body));
        body.append(rows.get(id).line);
      }
    }
    for (const id of state.order) {
      if (state.rows[id]) drawRow(rows.get(id), state.rows[id], state.history[id]);
    }
  }

  // What changes with time alone: ages, and whether the kernel still sends.
  function drawTime() {
    const state = model.get("snapshot");
    const heard = since(state);
    // A page that was loaded with old contents and no kernel leaves the static table alone.
    const shown = heard !== null || state.head.ended;
    root.hidden = !shown;
    const mark = model.get("static");
    const hides = shown && /^[0-9a-f]+$/.test(mark);
    setText(hiding, hides ? `.etoro-static-${mark} { display: none }` : "");
    const { late, silent } = heard ?? { late: 0, silent: 0 };
    const passed = (late + silent) / 1000;
    const old = late + silent > SILENCE && !state.head.ended;
    const trouble = problem(state, late, silent);
    root.dataset.state = old ? "silent" : state.head.state;
    root.classList.toggle("etoro-stale", trouble !== "");
    setText(name, old ? (silent > SILENCE ? "no kernel" : "late") : state.head.state);
    setText(about, headline(state, passed));
    setText(notice, trouble);
    // By the kernel's clock; of a table that had ended before the page was loaded, by this one.
    const now = heard ? state.head.at + passed : Date.now() / 1000;
    for (const id of state.order) {
      const cells = state.rows[id];
      if (!cells) continue;
      const age = cells.at === null ? "" : duration(Math.max(now - cells.at, 0));
      setText(rows.get(id).age, cells.closed ? `market closed, ${age}` : age);
    }
  }

  function draw() {
    const state = model.get("snapshot");
    drawRows(state);
    drawTime();
    const { hidden } = state.head;
    const none = state.order.length ? "" : "No rate has come yet.";
    setText(note, hidden ? `${hidden} more instruments are not shown (max_rows).` : none);
  }

  model.on("change:snapshot", draw);
  const timer = setInterval(drawTime, 500);
  draw();
  return () => {
    clearInterval(timer);
    model.off("change:snapshot", draw);
  };
}

export default { initialize, render };
