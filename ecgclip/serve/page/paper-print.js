/** Printing: paper that is larger than a page is cut into parts of its size, true to scale. */

const WIDTH = 265, HEIGHT = 150; // mm of an A4 page on its side that paper may take

/** Cut a paper before it is printed, and put it together again. */
export function printInParts(paper) {
  window.addEventListener("beforeprint", () => {
    const { svg, scene } = paper;
    if (!scene || (scene.width <= WIDTH && scene.height <= HEIGHT)) return;
    const parts = cuts(scene).flatMap(([top, bottom]) => {
      const columns = Array.from({ length: Math.ceil(scene.width / WIDTH) }, (_, i) => i * WIDTH);
      return columns.map((x) => partOf(svg, x, top, Math.min(WIDTH, scene.width - x), bottom - top));
    });
    paper.box.replaceChildren(...parts);
  });
  window.addEventListener("afterprint", () => paper.box.replaceChildren(paper.svg));
}

/** From where to where each page shows the paper, mm: between two rows. */
function cuts(scene) {
  const borders = scene.rows.slice(1).map(([strip]) => strip.top);
  const tops = [0];
  borders.forEach((border, i) => {
    if ((borders[i + 1] ?? scene.height) - tops.at(-1) > HEIGHT) tops.push(border);
  });
  return tops.map((top, i) => [top, tops[i + 1] ?? scene.height]);
}

function partOf(svg, x, y, width, height) {
  const part = svg.cloneNode(true);
  part.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
  part.style.setProperty("--width", width);
  part.style.setProperty("--height", height);
  return part;
}
