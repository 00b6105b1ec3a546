// A virtual list of rows over sparse memory. The kernel owns the bytes; pages are asked for as they come into view.
const ROW = 16, HEIGHT = 20, PAGE = 64, VISIBLE = 21, SPARE = 3, TALLEST = 6000000, MOST_PAGES = 512;
const KNOWN = [1, 2], DIFFERS = 4;
const hex = (value, digits) => value.toString(16).toUpperCase().padStart(digits, "0");

// A live plot keeps every key for itself, Tab too, and whoever has no mouse could never leave it again.
const untrap = (event) => {
  if (event.key === "Tab" && event.target?.closest?.(".jupyter-matplotlib-canvas-div")) event.stopImmediatePropagation();
};

function render({ model, el }) {
  window.removeEventListener("keydown", window.h5untrap, true);
  window.addEventListener("keydown", (window.h5untrap = untrap), true);
  const begun = performance.now();
  el.classList.add("h5hex");
  el.innerHTML = `
    <div class="h5hex-bar" role="toolbar" aria-label="Hex view">
      <button type="button" data-do="p" title="previous block of differences (p)">Previous difference</button>
      <button type="button" data-do="n" title="next block of differences (n)">Next difference</button>
      <label>Go to <input type="text" data-field="goto" size="11" spellcheck="false" placeholder="0x080BE000"></label>
      <label>Search <input type="text" data-field="search" size="22" spellcheck="false" placeholder="hex or text"></label>
      <span class="h5hex-say" role="status"></span>
    </div>
    <div class="h5hex-box" tabindex="0" role="region"
         aria-label="Memory; n next difference, p previous, slash search, g go to an address"><div class="h5hex-tall">
      <div class="h5hex-head" aria-hidden="true"></div><div class="h5hex-rows"></div></div></div>`;
  const box = el.querySelector(".h5hex-box"), tall = el.querySelector(".h5hex-tall");
  const list = el.querySelector(".h5hex-rows"), say = el.querySelector(".h5hex-say");
  const head = el.querySelector(".h5hex-head");
  const fields = Object.fromEntries([...el.querySelectorAll("[data-field]")].map((f) => [f.dataset.field, f]));
  let pairs = 1, firsts = [], total = 0, top = 0, pages = new Map(), asked = new Set(), own = false, painted = false;

  function reset() {
    pages = new Map(); asked = new Set(); firsts = []; total = 0; top = 0;
    for (const [start, rows] of model.get("blocks")) { firsts.push([total, start, rows]); total += rows; }
    tall.style.height = `${Math.min((Math.max(total, 1) + 1) * HEIGHT, TALLEST)}px`;
    const names = model.get("names");
    head.textContent = "";
    for (const [cls, text] of [["a", "address"], ["l", names[0] || ""], ["r", model.get("both") ? names[1] || "" : ""]]) {
      const cell = document.createElement("span"); cell.className = `h5hex-${cls}`; cell.textContent = text; head.append(cell);
    }
    reveal(model.get("address")); say.textContent = model.get("message");
  }
  function blockOf(index) {
    let low = 0, high = firsts.length - 1;
    while (low < high) { const mid = (low + high + 1) >> 1; if (firsts[mid][0] <= index) low = mid; else high = mid - 1; }
    return firsts[low];
  }
  const addressOf = (index) => { const [first, start] = blockOf(index); return start + (index - first) * ROW; };
  function indexOf(address) {
    for (const [first, start, rows] of firsts)
      if (address >= start && address < start + rows * ROW) return first + Math.floor((address - start) / ROW);
    return -1;
  }
  const last = () => Math.max(0, total - VISIBLE);
  function moveTo(index) {
    top = Math.min(Math.max(0, Math.round(index)), last());
    const range = tall.offsetHeight - box.clientHeight;
    own = true; box.scrollTop = last() ? (top / last()) * range : 0; paint();
  }
  function reveal(address) {
    const index = address < 0 ? -1 : indexOf(address);
    if (index < 0) { paint(); return; }
    if (index < top || index >= top + VISIBLE - 2) moveTo(index - 6); else paint();
  }
  function pageFor(index) {
    const [first, start, rows] = blockOf(index), number = Math.floor((index - first) / PAGE);
    const at = start + number * PAGE * ROW, count = Math.min(PAGE, rows - number * PAGE);
    if (!pages.has(at) && !asked.has(at)) { asked.add(at); model.send({ kind: "page", start: at, rows: count }); }
    return [pages.get(at), index - first - number * PAGE];
  }
  function cells(page, row, side) {
    const out = document.createDocumentFragment(), known = KNOWN[side];
    const add = (text, apart) => {
      if (apart) { const m = document.createElement("mark"); m.textContent = text; into.append(m); } else into.append(text);
    };
    const run = (glyph, gap) => {
      let text = "", apart = false;
      for (let i = 0; i < ROW; i++) {
        const at = row * ROW + i, differs = (page.flags[at] & DIFFERS) > 0;
        if (differs !== apart) { add(text, apart); text = ""; apart = differs; }
        text += (page.flags[at] & known ? glyph(page.data[side][at]) : gap) + (gap.length > 1 && i < ROW - 1 && (i + 1) % pairs === 0 ? " " : "");
      }
      add(text, apart);
    };
    let into = out;
    run((b) => hex(b, 2), "··");
    into = document.createElement("span"); into.className = "h5hex-t"; into.append("  ");
    run((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : "."), " ");
    out.append(into);
    return out;
  }
  function paint() {
    const marks = new Map(model.get("marks").map(([a, t]) => [a - (a % ROW), t])), rows = document.createDocumentFragment();
    const here = model.get("address"), both = model.get("both");
    let filled = total === 0;
    pairs = box.clientWidth < 715 ? 4 : 1;  // a narrow page sets bytes in fours, so that both boards are seen
    for (let i = top; i < Math.min(total, top + VISIBLE + SPARE); i++) {
      const row = document.createElement("div"), address = addressOf(i), [page, n] = pageFor(i);
      row.className = "h5hex-row"; row.dataset.address = address;
      if (here >= address && here < address + ROW) row.classList.add("h5hex-here");
      const put = (cls, content) => { const s = document.createElement("span"); s.className = `h5hex-${cls}`; s.append(content); row.append(s); };
      put("a", "0x" + hex(address, 8));
      put("l", page ? cells(page, n, 0) : "…");
      if (both) put("r", page ? cells(page, n, 1) : "");
      if (marks.has(address)) { row.classList.add("h5hex-slot"); put("m", marks.get(address)); }
      else if (i > 0 && blockOf(i)[0] === i) { row.classList.add("h5hex-gap"); put("m", "gap above"); }
      if (page) filled = true;
      rows.append(row);
    }
    list.replaceChildren(rows);
    if (filled && !painted) { painted = true; el.dataset.paintMs = (performance.now() - begun).toFixed(1); }
  }
  const go = { n: () => model.send({ kind: "difference" }), p: () => model.send({ kind: "difference", backward: true }),
    g: () => fields.goto.focus(), "/": () => fields.search.focus(), ArrowDown: () => moveTo(top + 1),
    ArrowUp: () => moveTo(top - 1), PageDown: () => moveTo(top + VISIBLE), PageUp: () => moveTo(top - VISIBLE),
    Home: () => moveTo(0), End: () => moveTo(last()) };
  box.addEventListener("keydown", (event) => {
    if (go[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault(); event.stopPropagation(); go[event.key]();
    }
  });
  for (const [name, field] of Object.entries(fields)) field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") { event.preventDefault(); model.send({ kind: name, query: field.value }); }
    if (event.key === "Escape") box.focus();
  });
  for (const button of el.querySelectorAll("[data-do]")) button.addEventListener("click", () => go[button.dataset.do]());
  box.addEventListener("wheel", (event) => {
    const rows = event.deltaMode === 1 ? event.deltaY : event.deltaY / HEIGHT;
    if (event.ctrlKey || !rows) return;
    event.preventDefault(); moveTo(top + (Math.abs(rows) < 1 ? Math.sign(rows) : rows));
  }, { passive: false });
  box.addEventListener("scroll", () => {
    if (own) { own = false; return; }
    const range = tall.offsetHeight - box.clientHeight;
    top = range > 0 ? Math.round((box.scrollTop / range) * last()) : 0; paint();
  });
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".h5hex-row");
    if (row) { model.set("address", Number(row.dataset.address)); model.save_changes(); box.focus(); }
  });
  const came = (message, buffers) => {
    if (message.kind !== "page" || message.version !== model.get("version")) return;
    const bytes = buffers.map((b) => new Uint8Array(b.buffer || b, b.byteOffset || 0, b.byteLength));
    if (pages.size >= MOST_PAGES) { const old = pages.keys().next().value; pages.delete(old); asked.delete(old); }
    pages.set(message.start, { data: [bytes[0], bytes[1]], flags: bytes[2] }); paint();
  };
  const sized = new ResizeObserver(() => paint());
  sized.observe(box);
  const moved = () => reveal(model.get("address")), told = () => { say.textContent = model.get("message"); };
  model.on("msg:custom", came); model.on("change:address", moved);
  model.on("change:message", told); model.on("change:version", reset);
  reset();
  return () => {
    sized.disconnect();
    model.off("msg:custom", came); model.off("change:address", moved);
    model.off("change:message", told); model.off("change:version", reset);
  };
}
export default { render };
