// The host of page.html: a run that travels inside the file. Paintings and walls are those of its key steps; single
// neurons, and the painting without some, are computed here from the weights of the last step.

import { computable, costs, halves, neuron, painted, type Carried, type Matrix } from "./net";
import { canvasOf, decoded } from "./pixels";
import type { Looked, Menus, NeuronHeader, PaintingHeader, Picture, RunRow, Story, WallFacts, WallsHeader } from "./protocol";
import type { Listener, Source } from "./source";

interface Packed {
  story: Story;
  palettes: Menus["palettes"];
  levels: number;
  target: string;
  frames: Record<string, string>;
  walls: Record<string, { layers: WallFacts[]; picture: string }>;
  where: string;
  net: PackedNet | null;
}

type PackedMatrix = { shape: [number, number]; data: string };

interface PackedNet {
  activation: string;
  arguments: Record<string, number>;
  affine?: { scale: number; shift: number };
  waves?: { frequencies: PackedMatrix; identity: boolean };
  layers: { weight: PackedMatrix; bias: PackedMatrix }[];
  readout: { weight: PackedMatrix; bias: PackedMatrix };
  skip?: PackedMatrix;
  drawsActivation: boolean;
}

/** Multiplications that a look may take: about a second and a half of plain JavaScript. */
const PATIENCE = 1.2e9;

function bytes(text: string): Uint8Array<ArrayBuffer> {
  const raw = atob(text);
  const made = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) made[i] = raw.charCodeAt(i);
  return made;
}
const matrix = ({ shape: [rows, columns], data }: PackedMatrix): Matrix => ({ rows, columns, values: halves(bytes(data)) });
const singles = ({ shape: [rows, columns], data }: PackedMatrix): Matrix => ({
  rows,
  columns,
  values: new Float32Array(bytes(data).buffer),
});
const dense = (one: { weight: PackedMatrix; bias: PackedMatrix }) => ({
  weight: matrix(one.weight),
  bias: matrix(one.bias).values,
});

function unpackedNet(net: PackedNet | null): Carried | null {
  if (!net) return null;
  const { waves, skip, layers, readout, ...rest } = net;
  return {
    ...rest,
    layers: layers.map(dense),
    readout: dense(readout),
    ...(waves ? { waves: { ...waves, frequencies: singles(waves.frequencies) } } : {}),
    ...(skip ? { skip: matrix(skip) } : {}),
  };
}

export class Embedded implements Source {
  readonly live = false;
  readonly initial: string;
  private packed: Packed;
  private net: Carried | null;

  constructor(text: string) {
    this.packed = JSON.parse(text) as Packed;
    this.initial = this.packed.story.run;
    this.net = unpackedNet(this.packed.net);
  }

  open(listener: Listener): void {
    listener.onConnection("open");
    const { palettes, levels } = this.packed;
    const none = { activation: [], encoding: [], optimizer: [], schedule: [], held_out: [] };
    listener.onNews({ event: "menus", palettes, levels, variants: none, recipes: [], engines: [], threads: 0 });
  }

  send(): void {}

  upload(): Promise<Picture & { notes: string[] }> {
    return Promise.reject(new Error("this page stands alone: sfumato playground learns new pictures"));
  }

  pictureUrl(): string {
    return "";
  }

  picture(): Promise<Blob> {
    return this.target();
  }

  runs(): Promise<RunRow[]> {
    return Promise.resolve([]);
  }

  story(): Promise<Story> {
    return Promise.resolve(this.packed.story);
  }

  target(): Promise<Blob> {
    return Promise.resolve(new Blob([bytes(this.packed.target)]));
  }

  frame(_run: string, step: number): Promise<Blob> {
    return Promise.resolve(new Blob([bytes(this.packed.frames[this.nearest(this.packed.frames, step)] ?? "")]));
  }

  /** Of all layers: they share a picture. */
  wall(_run: string, step: number | null): Promise<Looked<WallsHeader>> {
    const at = this.nearest(this.packed.walls, step);
    const found = this.packed.walls[at];
    if (!found) return Promise.reject(new Error("this file holds no neurons"));
    const header = { layers: found.layers, step: Number(at), run: this.initial };
    return Promise.resolve({ header, picture: new Blob([bytes(found.picture)]) });
  }

  async neuron(_run: string, _step: number | null, layer: number, index: number): Promise<Looked<NeuronHeader>> {
    const net = this.net;
    const { story } = this.packed;
    const { step, layers } = (await this.wall("", null)).header;
    const wall = layers.find((one) => one.layer === layer)!;
    const common = {
      run: this.initial, step, layer, index, what: wall.what, range: wall.range[index] ?? 1,
      mean: wall.mean[index] ?? 0, active: wall.active[index] ?? 0, dead: wall.dead.includes(index),
    };
    if (!computable(net)) throw new Error("this encoding is not computed in the page: the little picture is all there is");
    const size = await this.size(costs(net, layer));
    const values = neuron(net, layer, index, this.places(size));
    const most = this.packed.levels - 1;
    const grey = new ImageData(size[0], size[1]);
    values.forEach((value, i) => {
      const level = Math.round(Math.max(0, Math.min(1, (value / common.range + 1) / 2)) * most);
      grey.data.set([level, level, level, 255], 4 * i);
    });
    const { weight } = net.layers[layer - 1]!;
    const from = [...weight.values.subarray(index * weight.columns, (index + 1) * weight.columns)];
    const next = (net.layers[layer] ?? net.readout).weight;
    const to = Array.from({ length: next.rows }, (_, row) => next.values[row * next.columns + index]!);
    const last = layer === story.widths.length;
    const header = {
      ...common, width: size[0], height: size[1], from: layer > 1 ? strongest(from) : [], to: last ? [] : strongest(to),
      colour: last ? to : [],
    };
    return { header, picture: await blob(grey) };
  }

  async without(_run: string, _step: number | null, neurons: [number, number][]): Promise<Looked<PaintingHeader>> {
    if (!computable(this.net)) throw new Error("this encoding is not computed in the page, so nothing can be removed");
    const size = await this.size(costs(this.net));
    const xy = this.places(size);
    const target = await decoded(await this.target(), ...size);
    const [before, after] = [painted(this.net, xy), painted(this.net, xy, neurons)];
    const psnr = (values: Float32Array): number => {
      const channels = values.length / (size[0] * size[1]);
      let sum = 0;
      values.forEach((value, i) => {
        const wanted = target.data[4 * Math.floor(i / channels) + (i % channels)]! / 255;
        sum += (value - wanted) ** 2;
      });
      return -10 * Math.log10(sum / values.length);
    };
    const image = new ImageData(size[0], size[1]);
    const channels = after.length / (size[0] * size[1]);
    for (let i = 0; i < size[0] * size[1]; i++) {
      const at = (c: number): number => Math.round(255 * after[i * channels + Math.min(c, channels - 1)]!);
      image.data.set([at(0), at(1), at(2), 255], 4 * i);
    }
    const step = this.packed.story.history.at(-1)?.step ?? 0;
    const header = { run: this.initial, step, width: size[0], height: size[1], stride: 1, psnr: psnr(after), before: psnr(before) };
    return { header, picture: await blob(image) };
  }

  order(): Promise<{ order: number[]; worth: number[] }> {
    return Promise.reject(new Error("this order needs the playground's server"));
  }

  exportUrl(): string {
    return "";
  }

  private nearest(of: Record<string, unknown>, step: number | null): string {
    const steps = Object.keys(of).map(Number);
    const wanted = step ?? Infinity;
    const best = steps.reduce((a, b) => (Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a), steps[0] ?? 0);
    return String(step === null ? Math.max(...steps) : best);
  }

  /** The picture's shape with as many pixels as a look may have. */
  private async size(cost: number): Promise<[number, number]> {
    const { width, height } = await decoded(await this.target());
    const share = Math.min(1, Math.sqrt(PATIENCE / (cost * width * height)));
    return [Math.max(2, Math.round(width * share)), Math.max(2, Math.round(height * share))];
  }

  private places([width, height]: [number, number]): Float32Array {
    const corners = this.packed.where === "corners";
    const along = (i: number, n: number): number => (corners ? i / Math.max(1, n - 1) : (i + 0.5) / n);
    const xy = new Float32Array(2 * width * height);
    for (let row = 0, i = 0; row < height; row++)
      for (let column = 0; column < width; column++) {
        xy[i++] = along(column, width);
        xy[i++] = along(row, height);
      }
    return xy;
  }
}

function strongest(weights: number[]): [number, number][] {
  return weights
    .map((weight, unit): [number, number] => [unit, weight])
    .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]))
    .slice(0, 6);
}

function blob(image: ImageData): Promise<Blob> {
  const canvas = canvasOf(image.width, image.height);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return new Promise((done, failed) => canvas.toBlob((made) => (made ? done(made) : failed(new Error("no picture")))));
}
