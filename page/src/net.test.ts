import { expect, test } from "vitest";

import { costs, halves, neuron, painted, type Carried } from "./net";

const net: Carried = {
  activation: "relu",
  arguments: {},
  affine: { scale: 2, shift: -1 },
  layers: [
    { weight: { rows: 2, columns: 2, values: new Float32Array([1, 0, 0, 1]) }, bias: new Float32Array([0, 0.5]) },
    { weight: { rows: 1, columns: 2, values: new Float32Array([1, -1]) }, bias: new Float32Array([0.25]) },
  ],
  readout: { weight: { rows: 1, columns: 1, values: new Float32Array([0.5]) }, bias: new Float32Array([0.1]) },
  drawsActivation: false,
};
// (x, y) = (1, 0.5) -> (1, 0) -> relu (1, 0.5) -> 1 - 0.5 + 0.25 = 0.75 -> 0.475; (0, 0) -> (-1, -1) -> (0, 0) -> 0.25 -> 0.225
const xy = new Float32Array([1, 0.5, 0, 0]);

test("a net worked out by hand", () => {
  expect([...neuron(net, 1, 1, xy)]).toEqual([0.5, -0.5]);
  expect([...neuron(net, 2, 0, xy)]).toEqual([0.75, 0.25]);
  expect([...painted(net, xy)].map((v) => +v.toFixed(4))).toEqual([0.475, 0.225]);
  expect(costs(net)).toBe(6);
});

test("a neuron that is removed gives 0", () => {
  expect([...painted(net, xy, [[2, 0]])].map((v) => +v.toFixed(4))).toEqual([0.1, 0.1]);
  expect([...painted(net, xy, [[1, 1]])].map((v) => +v.toFixed(4))).toEqual([0.725, 0.225]);
});

test("half precision is read as written", () => {
  // 0, 1, -2, 0.1 (nearest half), the smallest subnormal, the largest number, infinity
  const bytes = new Uint8Array(new Uint16Array([0x0000, 0x3c00, 0xc000, 0x2e66, 0x0001, 0x7bff, 0x7c00]).buffer);
  expect([...halves(bytes)]).toEqual([0, 1, -2, 0.0999755859375, 2 ** -24, 65504, Infinity]);
});
