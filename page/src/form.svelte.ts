// What the controls say: a picture, a named recipe, and the fields that differ from it. All values are texts, as they
// would be typed on the command line; the server reads and checks them.

import type { Fields, Menus, Recipe, RunFacts } from "./protocol";
import { SHARED_FIELDS, type Shared } from "./share";
import { netText } from "./words";

/** Fields that a fork may not change, because weights and the optimizer's memory are handed over. */
const FORK_KEEPS = new Set(["net", "encoding", "optimizer", "held_out", "init"]);

export class Form {
  picture = $state("mona-lisa");
  base = $state("classic");
  values = $state<Record<string, string>>({});
  menus = $state.raw<Menus | null>(null);

  /** Take the menus; fields that nobody has touched get the named recipe's values. */
  take(menus: Menus): void {
    const first = this.menus === null;
    this.menus = menus;
    if (first) this.values = { ...this.defaults(this.base), ...this.values };
  }

  defaults(name: string): Record<string, string> {
    const found = this.menus?.recipes.find((one) => one.name === name);
    return found ? texts(found.recipe) : {};
  }

  /** A named recipe: every field becomes its own. */
  choose(name: string): void {
    this.base = name;
    this.values = { ...this.defaults(name), seed: this.values.seed ?? "0" };
  }

  /** The fields that differ from the named recipe, as a message or an address carries them. */
  fields(): Fields {
    const usual = this.defaults(this.base);
    const changed = Object.entries(this.values).filter(([key, value]) => value.trim() !== usual[key]);
    return Object.fromEntries(changed.map(([key, value]) => [key, value.trim()]));
  }

  recipe(): Fields {
    return { base: this.base, ...this.fields() };
  }

  share(): Shared {
    return { picture: this.picture, base: this.base, fields: this.fields() };
  }

  adopt(shared: Shared): void {
    this.picture = shared.picture;
    this.base = shared.base;
    const texts = Object.entries(shared.fields).map(([key, value]) => [key, String(value)]);
    this.values = { ...this.defaults(shared.base), ...Object.fromEntries(texts) };
  }

  /** Say what a run was made from. */
  adoptRun(run: RunFacts, picture: string): void {
    this.picture = picture;
    const wanted = texts(run.recipe);
    const off = (name: string): number => {
      const usual = this.defaults(name);
      return Object.keys(wanted).filter((key) => wanted[key] !== usual[key]).length;
    };
    const names = this.menus?.recipes.map((one) => one.name) ?? [];
    this.base = names.reduce((best, name) => (off(name) < off(best) ? name : best), names[0] ?? "classic");
    this.values = wanted;
  }

  /** The run that was asked for with `sent` has begun: what it made of fields (precision, wake) stands here too. */
  settle(run: RunFacts, sent: Record<string, string>): void {
    for (const [key, value] of Object.entries(texts(run.recipe))) if (this.values[key] === sent[key]) this.values[key] = value;
  }

  /** Fields in which the controls differ from a run. */
  differing(run: RunFacts): string[] {
    const its = texts(run.recipe);
    return Object.keys(its).filter((key) => {
      const value = this.values[key];
      return value !== undefined && value.trim() !== its[key] && !(key === "precision" && value === "auto");
    });
  }

  forkable(changed: string[]): boolean {
    return changed.length > 0 && changed.every((field) => !FORK_KEEPS.has(field));
  }
}

function texts(recipe: Recipe): Record<string, string> {
  const found: Record<string, string> = {};
  for (const field of SHARED_FIELDS) {
    const value = recipe[field];
    if (value !== undefined) found[field] = Array.isArray(value) ? netText(value as number[]) : String(value);
  }
  return found;
}
