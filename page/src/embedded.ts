// A run that travels inside the file: page.html.

import type { Looked, NeuronHeader, PaintingHeader, Picture, RunRow, Story, WallHeader } from "./protocol";
import type { Listener, Source } from "./source";

export class Embedded implements Source {
  readonly live = false;
  constructor(_text: string) {}
  open(_listener: Listener): void {}
  send(): void {}
  upload(): Promise<Picture & { notes: string[] }> {
    return Promise.reject(new Error("this page stands alone"));
  }
  pictureUrl(): string {
    return "";
  }
  runs(): Promise<RunRow[]> {
    return Promise.resolve([]);
  }
  story(): Promise<Story> {
    return Promise.reject(new Error("not yet"));
  }
  target(): Promise<Blob> {
    return Promise.reject(new Error("not yet"));
  }
  frame(): Promise<Blob> {
    return Promise.reject(new Error("not yet"));
  }
  wall(): Promise<Looked<WallHeader>> {
    return Promise.reject(new Error("not yet"));
  }
  neuron(): Promise<Looked<NeuronHeader>> {
    return Promise.reject(new Error("not yet"));
  }
  without(): Promise<Looked<PaintingHeader>> {
    return Promise.reject(new Error("not yet"));
  }
  order(): Promise<{ order: number[]; worth: number[] }> {
    return Promise.reject(new Error("not yet"));
  }
  exportUrl(): string {
    return "";
  }
}
