/** Mouse, fingers, wheel and keys on the paper. */

import { stripAt } from "./paper-layout.js";

const STEP = 1.25; // of the zoom
const MOVED = 4; // px: less is a click
const PAN = 10, FAST = 50; // mm a key moves the paper

/** Listen to what happens in the box of a paper. */
export function listen(paper) {
  listenToPointer(paper);
  listenToTouch(paper);
  paper.box.addEventListener("keydown", (event) => {
    if (event.target === paper.box && onKey(paper, event)) event.preventDefault();
  });
  paper.box.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    paper.zoomTo(paper.zoom * Math.exp(-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 60) / 300), event);
  }, { passive: false });
}

/** Where an event is on the paper, mm. */
function pointOf(paper, event) {
  const area = paper.svg.getBoundingClientRect();
  return { x: (event.clientX - area.left) / paper.scale, y: (event.clientY - area.top) / paper.scale };
}

function listenToPointer(paper) {
  const { box, svg, calipers } = paper;
  let from = null;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary || !paper.scene) return;
    const point = pointOf(paper, event);
    from = { x: event.clientX, y: event.clientY, left: box.scrollLeft, top: box.scrollTop, moved: false };
    from.name = event.target.closest("[data-name]")?.dataset.name;
    const byFinger = event.pointerType === "touch";
    if (calipers.on && !from.name) calipers.down(point, stripAt(paper.scene, point.x, point.y), byFinger);
    if (!byFinger || calipers.on) svg.setPointerCapture(event.pointerId); // fingers pan by themselves
  });
  svg.addEventListener("pointermove", (event) => {
    if (!from || !event.isPrimary) return;
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    from.moved ||= Math.hypot(dx, dy) > MOVED;
    if (calipers.held !== null) calipers.move(pointOf(paper, event));
    else if (event.pointerType !== "touch" && from.moved) box.scrollTo(from.left - dx, from.top - dy);
  });
  svg.addEventListener("pointerup", (event) => {
    if (!from || !event.isPrimary) return;
    const { name, moved } = from;
    from = null;
    if (calipers.held !== null) return calipers.up();
    if (moved) return;
    const point = pointOf(paper, event);
    if (name) paper.focusLead(name);
    else paper.choose(stripAt(paper.scene, point.x, point.y).lead);
  });
  svg.addEventListener("pointercancel", () => {
    from = null;
    calipers.held = null;
  });
}

/** Two fingers zoom. */
function listenToTouch(paper) {
  const { box } = paper;
  let from = null;
  const spread = ([a, b]) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  box.addEventListener("touchstart", (event) => {
    from = event.touches.length === 2 ? { spread: spread(event.touches), zoom: paper.zoom } : null;
    if (from) paper.calipers.held = null;
  }, { passive: true });
  box.addEventListener("touchmove", (event) => {
    if (!from || event.touches.length !== 2) return;
    event.preventDefault();
    const [a, b] = event.touches;
    const middle = { clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 };
    paper.zoomTo((from.zoom * spread(event.touches)) / Math.max(from.spread, 1), middle);
  }, { passive: false });
}

/** Whether a key did something. */
function onKey(paper, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !paper.scene) return false;
  if (paper.calipers.on && paper.calipers.key(event)) return true;
  const far = (event.shiftKey ? FAST : PAN) * paper.scale;
  const actions = {
    ArrowLeft: () => paper.box.scrollBy(-far, 0),
    ArrowRight: () => paper.box.scrollBy(far, 0),
    ArrowUp: () => paper.chooseNext(-1),
    ArrowDown: () => paper.chooseNext(1),
    PageUp: () => paper.move(-1),
    PageDown: () => paper.move(1),
    Home: () => paper.goTo(0),
    End: () => paper.goTo(Infinity),
    Enter: () => paper.focusLead(paper.lead),
    Escape: () => paper.leaveLead(),
    "+": () => paper.zoomTo(paper.zoom * STEP),
    "=": () => paper.zoomTo(paper.zoom * STEP),
    "-": () => paper.zoomTo(paper.zoom / STEP),
    0: () => paper.zoomToFit(),
    b: () => paper.set({ peaks: !paper.view.peaks }),
    w: () => paper.set({ waves: !paper.view.waves }),
    c: () => paper.calipers.start(true),
  };
  const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return false;
  action();
  paper.refresh();
  return true;
}
