// Files dropped or chosen go to the kernel in pieces of 1 MB, below what a notebook server takes as one message.
const PIECE = 1 << 20;

function render({ model, el }) {
  el.classList.add("h5drop");
  el.innerHTML = `<label class="h5drop-zone"><input type="file" multiple class="h5drop-input">
    <strong class="h5drop-label"></strong><span>drop files here, or click to choose</span></label>
    <div role="status" class="h5drop-coming"></div><ul class="h5drop-list"></ul><div role="alert" class="h5drop-say"></div>`;
  const zone = el.querySelector(".h5drop-zone"), input = el.querySelector("input"), list = el.querySelector("ul");
  const say = el.querySelector(".h5drop-say"), coming = el.querySelector(".h5drop-coming");
  async function send(files) {
    for (const file of files) {
      if (file.size === 0) { model.send({ name: file.name, last: true }, undefined, []); continue; }
      for (let at = 0; at < file.size; at += PIECE) {
        const piece = await file.slice(at, at + PIECE).arrayBuffer();
        model.send({ name: file.name, last: at + PIECE >= file.size }, undefined, [piece]);
        const share = Math.min(100, Math.round(100 * (at + PIECE) / file.size));
        coming.textContent = share < 100 ? `${file.name}: ${share} % has arrived` : "";
        if (at % (8 * PIECE) === 0) await new Promise((next) => setTimeout(next));
      }
    }
  }
  input.addEventListener("change", () => { send([...input.files]); input.value = ""; });
  for (const kind of ["dragenter", "dragover"]) zone.addEventListener(kind, (event) => {
    event.preventDefault(); event.stopPropagation(); zone.classList.add("h5drop-over");
  });
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, (event) => {
    event.preventDefault(); event.stopPropagation(); zone.classList.remove("h5drop-over");
  });
  zone.addEventListener("drop", (event) => send([...event.dataTransfer.files]));
  const show = () => {
    el.querySelector(".h5drop-label").textContent = model.get("label");
    list.replaceChildren(...model.get("files").map(([name, size]) => {
      const item = document.createElement("li"), away = document.createElement("button");
      away.type = "button"; away.textContent = "remove"; away.setAttribute("aria-label", `remove ${name}`);
      away.addEventListener("click", () => model.send({ name, gone: true }));
      item.append(`${name} (${size}) `, away); return item;
    }));
    say.textContent = model.get("message");
  };
  model.on("change:files", show); model.on("change:label", show); model.on("change:message", show);
  show();
  return () => { model.off("change:files", show); model.off("change:label", show); model.off("change:message", show); };
}
export default { render };
