// Charts beyond the picture: press a series in the legend to hide it, move over the picture or walk it with the arrow
// keys to read one bucket. The figures are those of the table twin.
document.querySelectorAll("[data-chart]").forEach((figure) => {
  enableLegend(figure);
  enableCursor(figure);
});

function enableLegend(figure) {
  figure.querySelectorAll(".legend > li").forEach((item) => {
    const shapes = figure.querySelectorAll(`path[data-series="${item.dataset.series}"]`);
    if (!shapes.length) return;
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(...item.childNodes);
    item.replaceChildren(button);
    button.addEventListener("click", () => {
      const visible = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(visible));
      shapes.forEach((shape) => shape.classList.toggle("muted-series", !visible));
    });
  });
}

function enableCursor(figure) {
  const plot = figure.querySelector("svg[role=img]");
  const rows = figure.querySelectorAll(".twin tbody tr");
  if (!plot || !rows.length) return;
  const heads = [...figure.querySelectorAll(".twin thead th")].slice(1).map((head) => head.textContent);
  const readout = document.createElement("p");
  readout.className = "chart__at";
  readout.setAttribute("role", "status");
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cursor.setAttribute("class", "chart__cursor");
  cursor.setAttribute("y1", "0");
  cursor.setAttribute("y2", plot.querySelector("svg").getAttribute("height"));
  figure.insertBefore(readout, figure.querySelector(".twin"));
  plot.setAttribute("tabindex", "0");
  let at = rows.length - 1;

  const show = (bucket) => {
    at = Math.min(Math.max(bucket, 0), rows.length - 1);
    const x = `${((at + 0.5) * 100) / rows.length}%`;
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    plot.append(cursor);
    const [name, ...cells] = [...rows[at].cells].map((cell) => cell.textContent);
    readout.textContent = `${name}: ${cells.map((cell, n) => `${heads[n]} ${cell}`).join(", ")}`;
  };
  const hide = () => { cursor.remove(); readout.textContent = ""; };
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    show(Math.floor(((event.clientX - box.left) / box.width) * rows.length));
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("focus", () => show(at));
  plot.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });
}
