// What travels between page and server. The server's side is src/sfumato/playground/messages.py and stream.py.

export type Value = string | number | boolean;
export type Fields = Record<string, Value>;

export type Command =
  | { type: "ack"; id: number }
  | { type: "watch"; layers: number[]; beside: number[]; visible: boolean }
  | { type: "start"; recipe: Fields; picture: string }
  | { type: "play" | "pause" | "stop" }
  | { type: "step"; count: number }
  | { type: "speed"; level: number }
  | { type: "fork"; run: string; step: number; changes: Fields }
  | { type: "resume"; run: string }
  | { type: "race"; run: string; recipe: Fields }
  | { type: "alone" };

export type Status = "waking" | "idle" | "starting" | "playing" | "paused" | "done" | "stopped" | "failed";

export interface Variant {
  arguments: string;
  name: string;
  text: string;
}

export interface Menus {
  variants: Record<"activation" | "encoding" | "optimizer" | "schedule" | "held_out", Variant[]>;
  recipes: { name: string; text: string; recipe: Recipe }[];
  engines: string[];
  threads: number;
  palettes: Record<"diverging" | "heat", string>;
  levels: number;
}

export interface Recipe {
  net: number[];
  activation: string;
  encoding: string;
  optimizer: string;
  schedule: string;
  held_out: string;
  rate: number;
  batch: number;
  epochs: number;
  steps: number;
  seed: number;
  wake: number;
  clip: number;
  [field: string]: unknown;
}

export interface Picture {
  key: string;
  title: string;
  width: number;
  height: number;
}

export interface RunFacts {
  run: string;
  recipe: Recipe;
  net: string;
  widths: number[];
  parameters: number;
  samples: number;
  outputs: number;
  engine: string;
  threads: number;
  forked: string | null;
  total_steps: number;
  state: string;
  command: string;
  python: string;
}

/** One line of a run's metrics.jsonl. */
export interface Line {
  step: number;
  epoch: number;
  seconds: number;
  loss: number | null;
  psnr?: number | null;
  psnr_seen?: number | null;
  psnr_hidden?: number | null;
  ssim?: number;
}

export interface Pulse {
  step: number;
  epoch: number;
  seconds: number;
  loss: number | null;
  pixels_a_second: number;
  seconds_left: number | null;
  viewing: number;
}

export interface Score {
  step: number;
  psnr: number | null;
  psnr_seen?: number | null;
  psnr_hidden?: number | null;
}

export interface Finding {
  kind: string;
  text: string;
  advice: string;
}

export interface PaintingHeader {
  run: string;
  step: number;
  width: number;
  height: number;
  stride: number;
  psnr: number | null;
  before?: number | null;
}

/** Neurons of some layers, all in one picture. */
export interface WallsHeader {
  run: string;
  step: number;
  layers: WallFacts[];
}

/** at: where in the picture the layer's tiles begin. */
export interface WallFacts {
  layer: number;
  units: number;
  columns: number;
  tile: [number, number];
  at: [number, number];
  what: string;
  range: number[];
  mean: number[];
  active: number[];
  contrast: number[];
  dead: number[];
}

export interface NeuronHeader {
  run: string;
  step: number;
  layer: number;
  index: number;
  width: number;
  height: number;
  what: string;
  range: number;
  mean: number;
  active: number;
  dead: boolean;
  from: [number, number][];
  to: [number, number][];
  colour: number[];
}

export interface RunRow {
  run: string;
  state: string;
  /** What is damaged; the numbers are missing then. */
  why?: string;
  psnr?: number | null;
  epoch?: number | null;
  step?: number | null;
  seconds?: number | null;
  started?: string | null;
}

export interface Story extends RunFacts {
  history: Line[];
  frames: number[];
  kept: number[];
  /** Key of the picture that it learns; a page that stands alone knows none. */
  picture?: string;
}

export interface Looked<H> {
  header: H;
  picture: Blob;
}

/** Everything a page needs to know when it comes. */
export interface Everything {
  menus: Menus | null;
  pictures: Picture[];
  picture: string;
  status: Status;
  text: string;
  speed: number;
  run: RunFacts | null;
  curve: Pulse[];
  scores: Score[];
  beats: Line[];
  flat: number[];
  findings: Finding[];
  rival: Rival | null;
}

/** The run that is trained beside the first one. */
export interface Rival {
  run: RunFacts;
  beats: Line[];
}

export type News =
  | ({ event: "all" } & Everything)
  | ({ event: "menus" } & Menus)
  | { event: "pictures"; pictures: Picture[] }
  | { event: "status"; status: Status; text: string }
  | { event: "speed"; level: number }
  | { event: "run"; run: RunFacts; beats: Line[]; picture: string }
  | ({ event: "pulse" } & Pulse)
  | ({ event: "score" } & Score)
  | { event: "beat"; line: Line }
  | { event: "flat"; shares: number[]; rectifier: boolean }
  | { event: "findings"; findings: Finding[] }
  | { event: "rival"; rival: Rival | null }
  | { event: "rival beat"; line: Line }
  | { event: "note"; text: string }
  | { event: "refused"; text: string };

/** Split a frame: 4 bytes with the header's length, the header as JSON, the picture. */
export function unpacked<H>(data: ArrayBuffer): Looked<H> {
  const length = new DataView(data).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length))) as H;
  return { header, picture: new Blob([new Uint8Array(data, 4 + length)]) };
}
