// All that the page knows, in one place; components read it and call its methods. Pictures and typed arrays are raw
// state: they are replaced, never changed in place, and no proxy walks through them.

import { canvasOf, coloured, decoded, difference, shownOn, tables, type Table } from "./pixels";
import type {
  Command, Everything, Fields, Finding, Line, Looked, Menus, News, PaintingHeader, Picture, Pulse, Rival, RunFacts, Score,
  Status, Story, WallFacts, WallsHeader,
} from "./protocol";
import type { Listener, Source } from "./source";
import { plain } from "./words";

export interface Painting extends PaintingHeader {
  image: ImageData;
}

/** A layer's neurons; the sheet holds those of the others too. */
export interface Wall extends WallFacts {
  run: string;
  step: number;
  sheet: HTMLCanvasElement;
}

export type NeuronKey = [layer: number, index: number];
export type Axis = "step" | "seconds" | "epoch";

const MOST_POINTS = 4000;
const MOST_CACHED = 120;
const TOGETHER_MS = 100; // pictures and numbers that come within so many milliseconds are shown at once
const NUMBERS: ReadonlySet<string> = new Set(["pulse", "score", "beat", "flat", "findings", "rival beat"]);
const TOGETHER = 1500; // with more neurons than this in all, only the layer shown is asked for

const LESS_MOTION = matchMedia("(prefers-reduced-motion: reduce)");

/** Milliseconds between new pictures in training, at least: more for who asks the system for less motion. */
function calm(): number {
  return LESS_MOTION.matches ? 1000 : 0;
}

export class Store implements Listener {
  readonly source: Source;
  connection = $state<"opening" | "open" | "lost">("opening");
  menus = $state.raw<Menus | null>(null);
  pictures = $state.raw<Picture[]>([]);
  status = $state<Status>("waking");
  speed = $state(5);
  message = $state.raw<{ text: string; bad: boolean } | null>(null);

  /** The run in training, or the last one that was; `opened`: a finished one that is looked at instead. */
  live = $state.raw<RunFacts | null>(null);
  opened = $state.raw<Story | null>(null);
  pulses = $state.raw<Pulse[]>([]);
  scores = $state.raw<Score[]>([]);
  beats = $state.raw<Line[]>([]);
  findings = $state.raw<Finding[]>([]);

  /** Run B of a comparison; `racing`: it is trained beside the first one, and pauses and steps with it. */
  racing = $state(false);
  other = $state.raw<Story | null>(null);
  otherPainting = $state.raw<Painting | null>(null);

  /** Index into `keys` of the moment looked at; null: now. */
  at = $state<number | null>(null);
  axis = $state<Axis>("step");
  target = $state.raw<ImageData | null>(null);
  painting = $state.raw<Painting | null>(null);
  walls = $state.raw<Record<number, Wall>>({});
  /** Whose neurons are shown while two runs are compared. */
  side = $state<"a" | "b">("a");
  layer = $state(1);
  selected = $state.raw<NeuronKey | null>(null);
  removed = $state.raw<NeuronKey[]>([]);
  poorer = $state.raw<Painting | null>(null);

  palettes = $state.raw<{ diverging: Table; heat: Table } | null>(null);

  /** Key of the picture that the run in training learns. */
  learning = $state("mona-lisa");

  private canTrain = $state(false);
  private coming: (() => void)[] = [];
  private showing: Promise<void> | null = null;
  private told: () => void = () => undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private changed = -Infinity; // when pictures in training were last shown, in ms
  private looked = 0; // only the answer to the newest question is shown
  private cache = new Map<string, Painting>();

  constructor(source: Source) {
    this.source = source;
    this.canTrain = source.live;
  }

  connect(): void {
    this.source.open(this);
  }

  // What is shown ------------------------------------------------------------------------------------------------

  run = $derived(this.opened ?? this.live);
  training = $derived(["playing", "paused", "starting"].includes(this.status));
  /** Whether the run shown is the one in training, and its newest moment. */
  now = $derived(this.opened === null && this.at === null && this.canTrain);
  lines = $derived(this.opened ? this.opened.history : this.beats);
  keys = $derived(this.lines.map((line) => line.step));
  step = $derived.by(() => {
    if (this.at !== null) return this.keys[this.at] ?? 0;
    const newest = this.lines.at(-1)?.step ?? 0;
    return this.opened ? newest : Math.max(newest, this.pulses.at(-1)?.step ?? 0);
  });
  line = $derived(this.at === null ? this.lines.at(-1) : this.lines[this.at]);
  shown = $derived(this.poorer && this.poorer.run !== this.other?.run ? this.poorer : this.painting);
  shownOther = $derived(this.poorer && this.poorer.run === this.other?.run ? this.poorer : this.otherPainting);
  /** The run whose neurons are shown, and the step that they are of. */
  inner = $derived<RunFacts | null>(this.side === "b" && this.other ? this.other : this.run);
  innerStep = $derived(this.inner === this.run ? this.step : (this.otherPainting?.step ?? 0));
  /** Whether its newest moment comes from the training itself, not from files. */
  streamed = $derived(this.now && this.training && (this.side === "a" || this.racing));
  error = $derived(
    this.target && this.shown && this.palettes ? difference(this.target, this.shown.image, this.palettes.heat) : null,
  );
  psnr = $derived.by(() => {
    if (this.at !== null || this.opened) return this.line?.psnr ?? null;
    const score = this.scores.at(-1);
    return score && score.step >= (this.line?.step ?? 0) ? score.psnr : (this.line?.psnr ?? null);
  });

  // News ---------------------------------------------------------------------------------------------------------

  onConnection(state: "open" | "lost"): void {
    this.connection = state;
  }

  onNews(news: News): void {
    if (NUMBERS.has(news.event)) {
      void this.together(() => this.take(news));
      return;
    }
    this.show(); // what came before is of before: of the run that was, say
    this.take(news);
  }

  private take(news: News): void {
    switch (news.event) {
      case "all":
        return this.everything(news);
      case "menus":
        return this.takeMenus(news);
      case "pictures":
        this.pictures = news.pictures;
        return;
      case "status":
        this.status = news.status;
        if (news.text) this.say(plain(news.text), news.status === "failed");
        return;
      case "speed":
        this.speed = news.level;
        return;
      case "run":
        this.learning = news.picture;
        return this.begin(news.run, news.beats);
      case "pulse":
        this.pulses = grown(this.pulses, news);
        return;
      case "score":
        this.scores = grown(this.scores, news);
        return;
      case "beat":
        this.beats = [...this.beats.filter((line) => line.step < news.line.step), news.line];
        return;
      case "findings":
        this.findings = news.findings;
        return;
      case "rival":
        return this.takeRival(news.rival);
      case "rival beat":
        if (this.racing && this.other) this.other = { ...this.other, history: [...this.other.history, news.line] };
        return;
      case "note":
        if (!news.text.startsWith("decoded from")) this.say(news.text, false);
        return;
      case "refused":
        return this.say(plain(news.text), true);
      case "flat":
    }
  }

  private everything(all: Everything): void {
    if (all.menus) this.takeMenus(all.menus);
    this.pictures = all.pictures;
    this.status = all.status;
    this.speed = all.speed;
    this.learning = all.picture;
    if (all.run && all.run.run !== this.live?.run) {
      const opened = this.opened; // a page that comes back keeps what it was looking at
      this.begin(all.run, all.beats);
      if (opened) this.opened = opened;
    }
    this.pulses = all.curve;
    this.scores = all.scores;
    this.beats = all.beats;
    this.findings = all.findings;
    this.takeRival(all.rival);
  }

  private takeRival(rival: Rival | null): void {
    if (!rival && !this.racing) return; // a kept run that this page compares with stays
    this.racing = rival !== null;
    this.other = rival && { ...rival.run, history: rival.beats, frames: [], kept: [] };
    this.otherPainting = null;
    if (!rival) this.neuronsOf("a");
  }

  private takeMenus(menus: Menus): void {
    this.menus = menus;
    this.palettes = tables(menus);
  }

  private begin(run: RunFacts, beats: Line[]): void {
    this.live = run;
    this.beats = beats;
    this.pulses = [];
    this.scores = [];
    this.findings = [];
    this.opened = null;
    this.fresh(run);
  }

  private fresh(run: RunFacts): void {
    this.looked++;
    this.at = null;
    this.painting = null;
    this.walls = {};
    this.selected = null;
    this.removed = [];
    this.poorer = null;
    this.side = "a";
    this.layer = Math.min(this.layer, run.widths.length);
    this.watch();
    void this.guarded(async () => {
      const image = await decoded(await this.source.target(run.run));
      if (this.run?.run === run.run) this.target = image;
    });
  }

  async onPainting(look: Looked<PaintingHeader>): Promise<void> {
    const made = await this.decodedPainting(look);
    await this.together(() => {
      if (this.now && made.run === this.live?.run) this.painting = made;
    });
    if (this.painting === made) await this.guarded(() => this.compareAt());
  }

  async onRival(look: Looked<PaintingHeader>): Promise<void> {
    const made = await this.decodedPainting(look);
    await this.together(() => {
      if (this.now && this.racing && made.run === this.other?.run) this.otherPainting = made;
    });
  }

  async onWalls(look: Looked<WallsHeader>): Promise<void> {
    const { run } = look.header;
    if (!this.now || run !== this.inner?.run) return;
    const made = await this.decodedWalls(look);
    await this.together(() => {
      if (this.now && run === this.inner?.run) this.walls = { ...this.walls, ...made };
    });
  }

  /** The pictures and numbers of one look come one by one; they are shown together, in one frame of the browser. */
  private together(change: () => void): Promise<void> {
    this.coming.push(change);
    this.showing ??= new Promise((done) => {
      this.told = done;
      this.timer = setTimeout(() => this.show(), Math.max(TOGETHER_MS, this.changed + calm() - performance.now()));
    });
    return this.showing;
  }

  private show(): void {
    if (!this.showing) return;
    clearTimeout(this.timer);
    const [all, done] = [this.coming, this.told];
    this.coming = [];
    this.showing = null;
    this.changed = performance.now();
    for (const one of all) one();
    done();
  }

  private async decodedPainting(look: Looked<PaintingHeader>): Promise<Painting> {
    const size = this.target ?? look.header;
    return { ...look.header, image: await decoded(look.picture, size.width, size.height) };
  }

  private async decodedWalls(look: Looked<WallsHeader>): Promise<Record<number, Wall>> {
    const { run, step, layers } = look.header;
    const grey = await decoded(look.picture);
    const sheet = canvasOf(grey.width, grey.height);
    shownOn(sheet, this.palettes ? coloured(grey, this.palettes.diverging) : grey);
    return Object.fromEntries(layers.map((facts) => [facts.layer, { ...facts, run, step, sheet }]));
  }

  // What a person does -------------------------------------------------------------------------------------------

  send(command: Command): void {
    if (this.connection === "lost") return this.say("There is no connection to the server: nothing was done.", true);
    this.message = null;
    this.source.send(command);
  }

  start(recipe: Fields, picture: string): void {
    this.send({ type: "start", recipe, picture });
  }

  /** Before anything is trained the picture that is chosen is shown as the target. */
  async preview(key: string): Promise<void> {
    await this.guarded(async () => {
      const image = await decoded(await this.source.picture(key));
      if (!this.run) this.target = image;
    });
  }

  /** Tell the server what this page shows, so that it draws nothing that nobody sees. */
  watch(): void {
    const widths = this.inner?.widths ?? [];
    const all = widths.reduce((sum, width) => sum + width, 0) <= TOGETHER;
    const shown = this.now ? (all ? widths.map((_, i) => i + 1) : [this.layer]) : [];
    const [layers, beside] = this.side === "a" ? [shown, []] : [[], this.racing ? shown : []];
    this.source.send({ type: "watch", layers, beside, visible: !document.hidden && this.now });
  }

  /** Look at a key moment, or (null) at the present. */
  async look(at: number | null): Promise<void> {
    const newest = this.keys.length - 1;
    const none = at === null || at < 0 || newest < 0; // a run that waits at its first step has no moment behind it
    const wanted = none || (this.opened && at >= newest) ? null : Math.min(at, newest);
    const turn = ++this.looked;
    this.at = wanted;
    this.removed = [];
    this.poorer = null;
    this.watch();
    if (this.now && this.training) return; // the stream shows it
    const run = this.run;
    const step = this.keys[wanted ?? newest];
    if (!run || step === undefined) return;
    await this.guarded(async () => {
      const painting = await this.paintingOf(run.run, step, this.lines[wanted ?? newest]?.psnr ?? null);
      if (turn !== this.looked) return;
      this.painting = painting;
      await this.compareAt();
      await new Promise((done) => setTimeout(done, 90)); // while the cursor moves on, no walls are asked for
      if (turn === this.looked) await this.fetchWalls(turn);
    });
  }

  private async fetchWalls(turn: number): Promise<void> {
    const run = this.inner;
    if (!run) return;
    const sum = run.widths.reduce((a, b) => a + b, 0);
    const every = run.widths.map((_, i) => i + 1);
    const first = [this.layer, ...every.filter((layer) => layer !== this.layer && sum <= TOGETHER)];
    const come = new Set<number>();
    for (const layer of first) {
      if (come.has(layer)) continue; // it came along with another
      const look = await this.source.wall(run.run, this.innerStep, layer, run.widths[layer - 1] ?? 300);
      const made = await this.decodedWalls(look);
      if (turn !== this.looked) return;
      look.header.layers.forEach((one) => come.add(one.layer));
      if (this.streamed && (this.walls[layer]?.step ?? -1) > look.header.step) continue; // training was quicker
      this.walls = { ...this.walls, ...made };
    }
  }

  /** The painting of a run at a key step, as it was kept. */
  async paintingOf(run: string, step: number, psnr: number | null): Promise<Painting> {
    const key = `${run}/${step}`;
    const known = this.cache.get(key);
    if (known) return known;
    const size = this.target;
    const image = await decoded(await this.source.frame(run, step), size?.width, size?.height);
    const made = { run, step, width: image.width, height: image.height, stride: 1, psnr, image };
    this.cache.set(key, made);
    if (this.cache.size > MOST_CACHED) this.cache.delete(this.cache.keys().next().value ?? "");
    return made;
  }

  async chooseLayer(layer: number): Promise<void> {
    this.layer = layer;
    this.watch();
    if (!this.streamed && !this.walls[layer]) await this.guarded(() => this.fetchWalls(this.looked));
  }

  /** Show the neurons of the other run of a comparison: as they were kept, then as training brings them. */
  neuronsOf(side: "a" | "b"): void {
    if (side === this.side) return;
    this.side = side;
    this.walls = {};
    this.removed = [];
    this.poorer = null;
    const widths = this.inner?.widths ?? [];
    this.layer = Math.min(this.layer, Math.max(1, widths.length));
    if (this.selected && this.selected[1] >= (widths[this.selected[0] - 1] ?? 0)) this.selected = null;
    this.watch();
    void this.guarded(() => this.fetchWalls(++this.looked));
  }

  /** Open a run from its files. */
  async open(name: string): Promise<void> {
    await this.guarded(async () => {
      const story = await this.source.story(name);
      if (story.run === this.live?.run && this.training) return this.close();
      this.opened = story;
      this.fresh(story);
      await this.look(null);
    });
  }

  /** Back to the run in training. */
  close(): void {
    this.opened = null;
    if (this.live) this.fresh(this.live);
  }

  async remove(neurons: NeuronKey[]): Promise<void> {
    const run = this.inner;
    if (!run) return;
    this.removed = neurons;
    if (!neurons.length) {
      this.poorer = null;
      return;
    }
    await this.guarded(async () => {
      const look = await this.source.without(run.run, this.streamed ? null : this.innerStep, neurons);
      const made = await this.decodedPainting(look);
      if (this.removed === neurons) this.poorer = made;
    });
  }

  // Comparing ----------------------------------------------------------------------------------------------------

  async compare(name: string | null): Promise<void> {
    if (this.racing) this.send({ type: "alone" });
    this.racing = false;
    if (name === null) {
      this.other = null;
      this.otherPainting = null;
      return this.neuronsOf("a");
    }
    await this.guarded(async () => {
      this.other = await this.source.story(name);
      await this.compareAt();
    });
  }

  /** Show of run B what is nearest, on the axis chosen, to the moment shown of run A. */
  async compareAt(): Promise<void> {
    const other = this.other;
    if (!other || !other.history.length) return;
    if (this.racing && this.now && this.training) return; // the stream shows it
    const place = this.place(this.line, this.step);
    const off = (line: Line): number => Math.abs(line[this.axis] - place);
    const nearest = other.history.reduce((best, line) => (off(line) < off(best) ? line : best));
    if (this.otherPainting?.run === other.run && this.otherPainting.step === nearest.step) return;
    this.otherPainting = await this.paintingOf(other.run, nearest.step, nearest.psnr ?? null);
    if (this.side === "b" && this.now && this.training) await this.fetchWalls(this.looked);
  }

  private place(line: Line | undefined, step: number): number {
    if (this.at === null && !this.opened) {
      const pulse = this.pulses.at(-1);
      if (pulse) return pulse[this.axis];
    }
    return line ? line[this.axis] : step;
  }

  say(text: string, bad: boolean): void {
    this.message = { text, bad };
  }

  /** Do something that may fail; a failure is said, not thrown. */
  async guarded(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.say(error instanceof TypeError ? "the server cannot be reached" : String((error as Error).message), true);
    }
  }
}

function grown<T>(list: T[], one: T): T[] {
  const thinned = list.length > MOST_POINTS ? list.filter((_, i) => i % 2 === 0) : list;
  return [...thinned, one];
}
