// The whole configuration in the address: #v=1&picture=KEY&base=classic&net=4x300&...
// Keys and texts are those of the command line's flags; only what differs from the named recipe is written.

import type { Fields } from "./protocol";

export interface Shared {
  picture: string;
  base: string;
  fields: Fields;
}

const VERSION = "1";
export const SHARED_FIELDS = [
  "net", "activation", "encoding", "optimizer", "schedule", "rate", "batch", "epochs", "seed", "held_out", "wake", "clip",
  "warmup", "init", "loss", "precision", "engine", "threads",
] as const;

export function toFragment(shared: Shared): string {
  const query = new URLSearchParams({ v: VERSION, picture: shared.picture, base: shared.base });
  for (const field of SHARED_FIELDS) {
    const value = shared.fields[field];
    if (value !== undefined) query.set(field, String(value));
  }
  return `#${query}`;
}

/** null: this address shares nothing, or something newer than this page reads. */
export function fromFragment(fragment: string): Shared | null {
  const query = new URLSearchParams(fragment.replace(/^#/, ""));
  if (query.get("v") !== VERSION) return null;
  const fields: Fields = {};
  for (const field of SHARED_FIELDS) {
    const text = query.get(field);
    if (text !== null) fields[field] = text;
  }
  return { picture: query.get("picture") ?? "mona-lisa", base: query.get("base") ?? "classic", fields };
}
