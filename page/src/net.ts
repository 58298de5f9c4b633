// The network, evaluated in the page: for a run that travels inside a file there is no server to ask. Plain loops over
// typed arrays; a picture is computed on as many pixels as the page's patience allows, not on all of them.

export interface Matrix {
  rows: number;
  columns: number;
  values: Float32Array;
}

export interface Carried {
  activation: string;
  arguments: Record<string, number>;
  /** none of these: the encoding cannot be computed here */
  affine?: { scale: number; shift: number };
  waves?: { frequencies: Matrix; identity: boolean };
  layers: { weight: Matrix; bias: Float32Array }[];
  readout: { weight: Matrix; bias: Float32Array };
  skip?: Matrix;
  /** whether neurons are drawn by their activation rather than by what goes into it */
  drawsActivation: boolean;
}

type Function = (x: number) => number;

function activation(net: Carried): Function {
  const { slope = 0.01, omega = 30, scale = 10 } = net.arguments;
  const known: Record<string, Function> = {
    relu: (x) => (x > 0 ? x : 0),
    leaky_relu: (x) => (x > 0 ? x : slope * x),
    tanh: Math.tanh,
    sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    silu: (x) => x / (1 + Math.exp(-x)),
    sine: (x) => Math.sin(omega * x),
    finer: (x) => Math.sin(omega * (Math.abs(x) + 1) * x),
    gaussian: (x) => Math.exp(-((scale * x) ** 2)),
  };
  const found = known[net.activation];
  if (!found) throw new Error(`this page cannot compute ${net.activation}`);
  return found;
}

export function computable(net: Carried | null): net is Carried {
  return net !== null && (net.affine !== undefined || net.waves !== undefined);
}

function times(x: Float32Array, count: number, { rows, columns, values }: Matrix, bias?: Float32Array): Float32Array {
  const made = new Float32Array(count * rows);
  for (let n = 0; n < count; n++) {
    const at = n * columns;
    for (let row = 0; row < rows; row++) {
      let sum = bias ? bias[row]! : 0;
      const start = row * columns;
      for (let i = 0; i < columns; i++) sum += values[start + i]! * x[at + i]!;
      made[n * rows + row] = sum;
    }
  }
  return made;
}

function encoded(net: Carried, xy: Float32Array): Float32Array {
  if (net.affine) {
    const { scale, shift } = net.affine;
    return xy.map((value) => value * scale + shift);
  }
  if (!net.waves) throw new Error("this page cannot compute this encoding");
  const { frequencies, identity } = net.waves;
  const [count, bands] = [xy.length / 2, frequencies.rows];
  const phase = times(xy, count, frequencies);
  const width = 2 * bands + (identity ? 2 : 0);
  const made = new Float32Array(count * width);
  for (let n = 0; n < count; n++) {
    let at = n * width;
    if (identity) {
      made[at++] = 2 * xy[2 * n]! - 1;
      made[at++] = 2 * xy[2 * n + 1]! - 1;
    }
    for (let band = 0; band < bands; band++) {
      const angle = 2 * Math.PI * phase[n * bands + band]!;
      made[at + band] = Math.sin(angle);
      made[at + bands + band] = Math.cos(angle);
    }
  }
  return made;
}

/** What one neuron answers at each of the places xy: (x, y) pairs in [0, 1]. */
export function neuron(net: Carried, layer: number, index: number, xy: Float32Array): Float32Array {
  const count = xy.length / 2;
  const f = activation(net);
  let value = encoded(net, xy);
  for (const { weight, bias } of net.layers.slice(0, layer - 1)) value = times(value, count, weight, bias).map(f);
  const { weight, bias } = net.layers[layer - 1]!;
  const { columns } = weight;
  const row = { rows: 1, columns, values: weight.values.subarray(index * columns, (index + 1) * columns) };
  const pre = times(value, count, row, bias.subarray(index, index + 1));
  return net.drawsActivation ? pre.map(f) : pre;
}

/** The colours at each of the places xy, clipped to [0, 1]; some neurons, [layer, index], give 0. */
export function painted(net: Carried, xy: Float32Array, removed: [number, number][] = []): Float32Array {
  const count = xy.length / 2;
  const f = activation(net);
  const first = encoded(net, xy);
  let value = first;
  net.layers.forEach(({ weight, bias }, i) => {
    value = times(value, count, weight, bias).map(f);
    for (const [layer, index] of removed)
      if (layer === i + 1) for (let n = 0; n < count; n++) value[n * weight.rows + index] = 0;
  });
  const made = times(value, count, net.readout.weight, net.readout.bias);
  const skipped = net.skip ? times(first, count, net.skip) : null;
  return made.map((sum, i) => Math.max(0, Math.min(1, sum + (skipped ? skipped[i]! : 0))));
}

/** Multiplications that one pixel takes up to a layer (or to the colour). */
export function costs(net: Carried, layer = net.layers.length + 1): number {
  return net.layers.slice(0, layer).reduce((sum, { weight }) => sum + weight.rows * weight.columns, 0);
}

/** Numbers from half precision, as NumPy writes them: little-endian, IEEE 754. */
export function halves(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const made = new Float32Array(bytes.byteLength / 2);
  for (let i = 0; i < made.length; i++) {
    const bits = view.getUint16(2 * i, true);
    const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    made[i] =
      exponent === 0
        ? sign * 2 ** -24 * fraction
        : exponent === 31
          ? fraction
            ? NaN
            : sign * Infinity
          : sign * 2 ** (exponent - 25) * (1024 + fraction);
  }
  return made;
}
