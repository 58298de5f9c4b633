// Pictures as numbers: decoding, palettes, differences. No component knows how a colour is found.

import type { Menus } from "./protocol";

export type Table = Uint8ClampedArray; // RGB triples

export function table(hex: string): Table {
  const found = new Uint8ClampedArray(hex.length / 2);
  for (let i = 0; i < found.length; i++) found[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return found;
}

export function tables(menus: Menus): { diverging: Table; heat: Table } {
  return { diverging: table(menus.palettes.diverging), heat: table(menus.palettes.heat) };
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

/** The pixels of an encoded picture, drawn at a size (its own if none is given). */
export async function decoded(picture: Blob, width?: number, height?: number): Promise<ImageData> {
  // Colours are compared as stored: a profile or premultiplied alpha would change the numbers under the cursor.
  const bitmap = await createImageBitmap(picture, { colorSpaceConversion: "none" });
  try {
    const [w, h] = [width ?? bitmap.width, height ?? bitmap.height];
    const draw = context(canvasOf(w, h));
    draw.imageSmoothingQuality = "high";
    draw.drawImage(bitmap, 0, 0, w, h);
    return draw.getImageData(0, 0, w, h);
  } finally {
    bitmap.close();
  }
}

/** Grey values are indices into a palette: put its colours on, in place. */
export function coloured(image: ImageData, palette: Table): ImageData {
  const { data } = image;
  const last = palette.length / 3 - 1;
  for (let i = 0; i < data.length; i += 4) {
    const at = 3 * Math.min(last, data[i]!);
    data[i] = palette[at]!;
    data[i + 1] = palette[at + 1]!;
    data[i + 2] = palette[at + 2]!;
  }
  return image;
}

/** Mean absolute difference of the channels, on a palette; `full` is the difference that gets the last colour. */
export function difference(a: ImageData, b: ImageData, palette: Table, full = 64): ImageData {
  const made = new ImageData(a.width, a.height);
  const last = palette.length / 3 - 1;
  for (let i = 0; i < made.data.length; i += 4) {
    const off =
      (Math.abs(a.data[i]! - b.data[i]!) + Math.abs(a.data[i + 1]! - b.data[i + 1]!) +
        Math.abs(a.data[i + 2]! - b.data[i + 2]!)) / 3;
    const at = 3 * Math.min(last, Math.round((off / full) * last));
    made.data[i] = palette[at]!;
    made.data[i + 1] = palette[at + 1]!;
    made.data[i + 2] = palette[at + 2]!;
    made.data[i + 3] = 255;
  }
  return made;
}

export function shownOn(canvas: HTMLCanvasElement, image: ImageData): void {
  if (canvas.width !== image.width) canvas.width = image.width;
  if (canvas.height !== image.height) canvas.height = image.height;
  context(canvas).putImageData(image, 0, 0);
}
