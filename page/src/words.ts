// Numbers as people read them.

export function count(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(value < 1e7 ? 2 : 1)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return value.toLocaleString("en");
}

export function decibels(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : `${value.toFixed(2)} dB`;
}

export function clock(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number): string => String(value).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export function small(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 0.01 || value === 0 ? value.toPrecision(3) : value.toExponential(1);
}

/** An error of the command line in the words of the controls: what to try with flags the findings say better. */
export function plain(text: string): string {
  return text.replace(/\nhint: try --.*/, "").replace(/--(?:set )?(?=[a-z])/g, "");
}

/** Title and date in the name of a run, `2026-11-28_1432_mona-lisa_4x300-relu_a1b2`; another name is its own title. */
export function titled(run: string): { title: string; net: string; when: string } {
  const made = /^(\d{4}-\d\d-\d\d)_(\d\d)(\d\d)_(.+)_([^_]+)_[^_]+$/.exec(run);
  if (!made) return { title: run, net: "", when: "" };
  const [, day, hour, minute, title = "", net = ""] = made;
  return { title, net, when: `${day} ${hour}:${minute}` };
}

/** What changed between two recipes, as `field a -> b`. */
export function changes(a: Record<string, unknown>, b: Record<string, unknown>): string {
  const leave = new Set(["format", "engine", "threads", "precision"]);
  const text = (value: unknown): string => (Array.isArray(value) ? netText(value as number[]) : String(value));
  return Object.keys(a)
    .filter((key) => !leave.has(key) && JSON.stringify(a[key]) !== JSON.stringify(b[key]))
    .map((key) => `${key} ${text(a[key])} → ${text(b[key])}`)
    .join(", ");
}

export function netText(widths: number[]): string {
  const [first] = widths;
  return widths.length && widths.every((width) => width === first) ? `${widths.length}x${first}` : widths.join(",");
}
