// Where the page gets everything from. Three hosts, one interface: the live server and its run directories
// (server.ts), and a run that travels inside the file (embedded.ts). The page itself never asks which one it is,
// except for `live`, which says whether anything can be trained.

import type {
  Command, Looked, NeuronHeader, News, PaintingHeader, Picture, RunRow, Story, WallsHeader,
} from "./protocol";

export interface Listener {
  onNews(news: News): void;
  onPainting(look: Looked<PaintingHeader>): Promise<void>;
  onRival(look: Looked<PaintingHeader>): Promise<void>;
  onWalls(look: Looked<WallsHeader>): Promise<void>;
  onConnection(state: "open" | "lost"): void;
}

export interface Source {
  readonly live: boolean;
  /** The run to show at once; empty: none. */
  readonly initial: string;
  open(listener: Listener): void;
  send(command: Command): void;
  upload(file: Blob, name: string): Promise<Picture & { notes: string[] }>;
  pictureUrl(key: string): string;
  picture(key: string): Promise<Blob>;
  runs(): Promise<RunRow[]>;
  story(run: string): Promise<Story>;
  target(run: string): Promise<Blob>;
  frame(run: string, step: number): Promise<Blob>;
  /** step null: now, of a run that is being trained. */
  wall(run: string, step: number | null, layer: number, together: number): Promise<Looked<WallsHeader>>;
  neuron(run: string, step: number | null, layer: number, index: number): Promise<Looked<NeuronHeader>>;
  without(run: string, step: number | null, neurons: [number, number][]): Promise<Looked<PaintingHeader>>;
  order(run: string, step: number | null, layer: number, by: string): Promise<{ order: number[]; worth: number[] }>;
  /** Address of a file to take away; empty where this host has none. */
  exportUrl(run: string, file: string, options: Record<string, string>): string;
}
