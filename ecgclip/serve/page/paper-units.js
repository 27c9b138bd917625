/** Samples, millivolts, milliseconds and millimetres: numbers only, nothing here touches the page. */

export const PX = 96 / 25.4; // CSS px in a mm
export const HUNDREDTH = 100; // coordinates of a trace are whole hundredths of a mm
const MISSING = -32768;

/** Samples of a lead, base64 of int16 microvolts, as mV: Float32Array, NaN is missing. */
export function decode(text) {
  const bytes = atob(text);
  const values = new Float32Array(bytes.length >> 1);
  for (let i = 0; i < values.length; i++) {
    const raw = ((bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8)) << 16) >> 16;
    values[i] = raw === MISSING ? NaN : raw / 1000;
  }
  return values;
}

/** The SIGNAL of an answer, decoded: start and stop in s of the recording, rate in Hz, leads by name, mV. */
export function signalOf(answer) {
  const rate = answer.sampling_rate;
  const leads = Object.fromEntries(Object.entries(answer.leads).map(([lead, text]) => [lead, decode(text)]));
  const middle = Object.fromEntries(Object.entries(leads).map(([lead, values]) => [lead, median(values)]));
  return { start: answer.start_s, stop: answer.start_s + answer.seconds, rate, leads, middle };
}

/** Median of the values that are not missing; 0 where all are. */
export function median(values) {
  const known = values.filter((value) => !Number.isNaN(value)).sort();
  return known.length ? known[known.length >> 1] : 0;
}

/** The samples from first to stop, s: indices low to high, high not among them. */
export function samples(signal, lead, first, stop) {
  const size = signal.leads[lead]?.length ?? 0;
  const at = (time) => Math.min(Math.max(Math.ceil((time - signal.start) * signal.rate - 1e-6), 0), size);
  return [at(first), at(stop)];
}

/** mV of a lead at a time, s; between two samples on the line that joins them; NaN where there is none. */
export function valueAt(signal, lead, time) {
  const values = signal.leads[lead] ?? [];
  const at = (time - signal.start) * signal.rate;
  const low = Math.floor(at + 1e-6);
  const share = Math.max(at - low, 0);
  const next = share < 1e-3 ? values[low] : values[low + 1];
  return values[low] === undefined || next === undefined ? NaN : values[low] * (1 - share) + next * share;
}

/**
 * The path of samples low to high of a trace, in hundredths of a mm.
 *
 * Missing samples leave a gap; one sample alone between gaps is a dot. Where more than four samples share a column of
 * the screen, only the first, least, greatest and last of them are drawn: the same picture.
 *
 * place: {x, dx, y, dy, column}: mm of sample `low`, from one to the next, of 0 mV, upwards in a mV; width of a column
 */
export function pathOf(values, low, high, { x, dx, y, dy, column }) {
  const step = Math.max(1, Math.floor(column / dx));
  const parts = [];
  let drawn = 0; // points since the pen was set down
  const point = (i) => {
    const value = values[i];
    if (Number.isNaN(value)) return lift();
    parts.push(drawn++ ? " " : "M", Math.round(HUNDREDTH * (x + dx * (i - low))), " ");
    parts.push(Math.round(HUNDREDTH * (y - dy * value)));
  };
  const lift = () => {
    if (drawn === 1) parts.push("h0");
    drawn = 0;
  };
  for (let i = low; i < high; i += step) thinned(values, i, Math.min(i + step, high)).forEach(point);
  lift();
  return parts.join("");
}

/** Which of the samples of a column are drawn. */
function thinned(values, from, to) {
  let [least, most] = [from, from];
  for (let i = from; i < to; i++) {
    if (to - from <= 4 || Number.isNaN(values[i])) return Array.from({ length: to - from }, (_, k) => from + k);
    if (values[i] < values[least]) least = i;
    if (values[i] > values[most]) most = i;
  }
  return [from, Math.min(least, most), Math.max(least, most), to - 1];
}

/** Between two ends {time, mv}: ms; per minute, null where that says nothing of a rhythm; mV from the earlier one. */
export function between(one, other) {
  const [a, b] = one.time <= other.time ? [one, other] : [other, one];
  const ms = 1000 * (b.time - a.time);
  return { ms, bpm: ms >= 100 ? 60000 / ms : null, mv: b.mv - a.mv };
}

/** Times at which an interval recurs before and after its two ends, as far as from first to stop, s. */
export function march(one, other, first, stop) {
  const [a, b] = [Math.min(one, other), Math.max(one, other)];
  const step = b - a;
  if (step < 0.04) return []; // as many lines as hide the trace
  const times = [];
  for (let time = a - step; time >= first; time -= step) times.unshift(time);
  for (let time = b + step; time <= stop; time += step) times.push(time);
  return times;
}

/** A time of the recording: 7.5 s, 12:05, or 1:02:05; digits: behind the point of the seconds from a minute on. */
export function clock(seconds, language = "en", digits = 0) {
  if (seconds < 60) return `${number(seconds, Math.max(digits, 2), language)} s`;
  const whole = Number(seconds.toFixed(digits));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value, behind = 0) => value.toLocaleString(language, {
    minimumIntegerDigits: 2, minimumFractionDigits: behind, maximumFractionDigits: behind });
  return h ? `${h}:${two(m)}:${two(s, digits)}` : `${m}:${two(s, digits)}`;
}

/** A number with at most so many digits behind the point; a true minus sign. */
export function number(value, digits, language = "en") {
  const text = value.toLocaleString(language, { maximumFractionDigits: digits, useGrouping: false });
  return text.replace(/^-/, "−").replace(/^−0$/, "0");
}

/** A number with its sign and exactly so many digits. */
export function signed(value, digits, language = "en") {
  const rounded = Number(value.toFixed(digits)) + 0;
  const text = Math.abs(rounded).toLocaleString(language, { minimumFractionDigits: digits });
  return (rounded < 0 ? "−" : rounded > 0 ? "+" : "") + text;
}

/** A probability in percent; those next to 0 and 1 are not rounded to certainty. */
export function percent(probability, language = "en") {
  const sign = language === "de" ? "\u00a0%" : "%";
  if (probability < 0.01) return `<\u00a01${sign}`;
  return probability > 0.99 ? `>\u00a099${sign}` : `${Math.round(100 * probability)}${sign}`;
}
