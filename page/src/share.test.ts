import { expect, test } from "vitest";

import { fromFragment, SHARED_FIELDS, toFragment, type Shared } from "./share";

/** A repeatable source of texts that would hurt a careless codec. */
function random(seed: number): () => number {
  let state = seed;
  return () => ((state = (state * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff);
}
const PIECES = ["4x300", "300,300,64", "sine:omega=30", "fourier:bands=128,sigma=10", "a&b=c", "#", "%", "é", " ", "+", "=", "1e-3", ""];

test("a link's round trip is the identity", () => {
  const next = random(1);
  for (let i = 0; i < 500; i++) {
    const fields = Object.fromEntries(
      SHARED_FIELDS.filter(() => next() < 0.4).map((field) => [field, PIECES[Math.floor(next() * PIECES.length)]!]),
    );
    const shared: Shared = { picture: next() < 0.5 ? "mona-lisa" : "upload:0123456789abcdef", base: "sharp", fields };
    expect(fromFragment(toFragment(shared))).toEqual(shared);
  }
});

test("what is no link, or a newer one, shares nothing", () => {
  for (const text of ["", "#", "#run=2026_x", "#v=2&picture=x", "#v", "nonsense"]) expect(fromFragment(text)).toBeNull();
});

test("fields that a link may not set are left out", () => {
  const found = fromFragment("#v=1&picture=disc&base=classic&task=digits&options.x=1&rate=0.1");
  expect(found).toEqual({ picture: "disc", base: "classic", fields: { rate: "0.1" } });
});
