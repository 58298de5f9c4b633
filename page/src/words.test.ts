import { expect, test } from "vitest";

import { unpacked } from "./protocol";
import { changes, clock, count, netText, plain, small, titled } from "./words";

test("numbers read as people write them", () => {
  expect([count(7), count(9999), count(12_400), count(2_500_000)]).toEqual(["7", "9,999", "12.4k", "2.50M"]);
  expect([clock(0), clock(61), clock(3661), clock(null), clock(Infinity)]).toEqual(["0:00", "1:01", "1:01:01", "–", "–"]);
  expect([small(0), small(0.0421), small(0.00042), small(null)]).toEqual(["0.00", "0.0421", "4.2e-4", "–"]);
});

test("nets and changes have the short form of the command line", () => {
  expect([netText([300, 300]), netText([64]), netText([3, 4])]).toEqual(["2x300", "1x64", "3,4"]);
  const a = { net: [300, 300], rate: 0.1, engine: "native" };
  expect(changes(a, { ...a, rate: 0.2, engine: "eager" })).toBe("rate 0.1 → 0.2");
  expect(changes(a, { ...a })).toBe("");
});

test("a run's name is taken apart, and a stranger's is shown as it is", () => {
  expect(titled("2026-11-28_1432_my_cat_4x300-relu_a1b2")).toEqual({ title: "my_cat", net: "4x300-relu", when: "2026-11-28 14:32" });
  for (const name of ["<b>x</b>", "mine", "a_b_c_d_e"]) expect(titled(name)).toEqual({ title: name, net: "", when: "" });
});

test("errors of the command line are said without its flags", () => {
  expect(plain("diverged\nhint: try --lr 3e-4 or --clip 1")).toBe("diverged");
  expect(plain("no\nhint: --batch 36864")).toBe("no\nhint: batch 36864");
  expect(plain("no\nhint: --set precision=auto")).toBe("no\nhint: precision=auto");
});

test("a frame is header and picture", async () => {
  const head = new TextEncoder().encode('{"step":5}');
  const data = new Uint8Array(4 + head.length + 2);
  new DataView(data.buffer).setUint32(0, head.length);
  data.set(head, 4);
  data.set([1, 2], 4 + head.length);
  const { header, picture } = unpacked<{ step: number }>(data.buffer);
  expect(header.step).toBe(5);
  expect(picture.size).toBe(2);
});
