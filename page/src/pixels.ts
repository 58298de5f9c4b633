// Pictures as numbers: decoding, palettes, differences. No component knows how a colour is found.

import type { Menus, WallFacts } from "./protocol";

/** Colours as the four bytes of a pixel, opaque, in one number: a pixel is then written at once. */
export type Table = Uint32Array;

const words = (image: ImageData): Uint32Array => new Uint32Array(image.data.buffer);

export function table(hex: string): Table {
  const bytes = new Uint8Array((hex.length / 6) * 4).fill(255);
  for (let i = 0; i < hex.length / 2; i++) {
    bytes[4 * Math.floor(i / 3) + (i % 3)] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  }
  return new Uint32Array(bytes.buffer);
}

export function tables(menus: Menus): { diverging: Table; heat: Table } {
  return { diverging: table(menus.palettes.diverging), heat: table(menus.palettes.heat) };
}

/** Where a unit's tile lies in the picture of its layer: left, top, width, height. */
export function tileAt(wall: WallFacts, unit: number): [number, number, number, number] {
  const [w, h] = wall.tile;
  return [wall.at[0] + (unit % wall.columns) * w, wall.at[1] + Math.floor(unit / wall.columns) * h, w, h];
}

export function canvasOf(width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const found = canvas.getContext("2d", { willReadFrequently: true });
  if (!found) throw new Error("this browser draws no canvas");
  return found;
}

// One canvas for all decoding: with a new one for each picture a fifth of the page's time went into collecting them.
let scratch: HTMLCanvasElement | undefined;

/** Making smaller needs the good way; making larger by it costs a browser without a graphics card a third of a frame. */
export function smoothing(from: number, to: number): ImageSmoothingQuality {
  return to < from ? "high" : "low";
}

/** The pixels of an encoded picture, drawn at a size (its own if none is given). */
export async function decoded(picture: Blob, width?: number, height?: number): Promise<ImageData> {
  // Colours are compared as stored: a profile or premultiplied alpha would change the numbers under the cursor.
  const bitmap = await createImageBitmap(picture, { colorSpaceConversion: "none" });
  try {
    const [w, h] = [width ?? bitmap.width, height ?? bitmap.height];
    scratch ??= canvasOf(w, h);
    if (scratch.width !== w) scratch.width = w;
    if (scratch.height !== h) scratch.height = h;
    const draw = context(scratch);
    draw.clearRect(0, 0, w, h);
    draw.imageSmoothingQuality = smoothing(bitmap.height, h);
    draw.drawImage(bitmap, 0, 0, w, h);
    return draw.getImageData(0, 0, w, h);
  } finally {
    bitmap.close();
  }
}

/** Grey values are indices into a palette: put its colours on, in place. */
export function coloured(image: ImageData, palette: Table): ImageData {
  const pixels = words(image);
  const last = palette.length - 1;
  for (let i = 0; i < pixels.length; i++) pixels[i] = palette[Math.min(last, image.data[4 * i]!)]!;
  return image;
}

/** Mean absolute difference of the channels, on a palette; `full` is the difference that gets the last colour. */
export function difference(a: ImageData, b: ImageData, palette: Table, full = 64): ImageData {
  const made = new ImageData(a.width, a.height);
  const pixels = words(made);
  const last = palette.length - 1;
  const [from, to] = [a.data, b.data];
  // By the sum of the channels' differences, a whole number up to 765: one look at a table instead of a division.
  const colours = Uint32Array.from({ length: 766 }, (_, sum) => palette[Math.min(last, Math.round((sum / 3 / full) * last))]!);
  for (let i = 0; i < from.length; i += 4) {
    const off = Math.abs(from[i]! - to[i]!) + Math.abs(from[i + 1]! - to[i + 1]!) + Math.abs(from[i + 2]! - to[i + 2]!);
    pixels[i >> 2] = colours[off]!;
  }
  return made;
}

export function shownOn(canvas: HTMLCanvasElement, image: ImageData): void {
  if (canvas.width !== image.width) canvas.width = image.width;
  if (canvas.height !== image.height) canvas.height = image.height;
  context(canvas).putImageData(image, 0, 0);
}
