// The live host: one socket for what happens, plain requests for looks at run directories.

import { unpacked } from "./protocol";
import type {
  Command, Looked, NeuronHeader, News, PaintingHeader, Picture, RunRow, Story, WallsHeader,
} from "./protocol";
import type { Listener, Source } from "./source";

const FIRST_WAIT = 400;
const LONGEST_WAIT = 5000;

export class Server implements Source {
  readonly live = true;
  readonly initial = "";
  private socket: WebSocket | null = null;
  private listener: Listener | null = null;
  private wait = FIRST_WAIT;
  private watch: Command | null = null;

  open(listener: Listener): void {
    this.listener = listener;
    this.connect();
    // A machine that wakes up, or comes back to the network, need not wait for the next try.
    addEventListener("online", () => this.socket ?? this.connect());
  }

  private connect(): void {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/socket`);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.wait = FIRST_WAIT;
      this.listener?.onConnection("open");
      if (this.watch) this.send(this.watch);
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (typeof event.data === "string") this.listener?.onNews(JSON.parse(event.data) as News);
      else void this.shown(event.data);
    };
    socket.onclose = () => {
      this.socket = null;
      this.listener?.onConnection("lost");
      setTimeout(() => this.socket ?? this.connect(), this.wait);
      this.wait = Math.min(LONGEST_WAIT, this.wait * 1.7);
    };
  }

  private async shown(data: ArrayBuffer): Promise<void> {
    const look = unpacked<(PaintingHeader | WallsHeader) & { channel: string; id: number }>(data);
    try {
      const { channel } = look.header;
      if (channel === "painting") await this.listener?.onPainting(look as Looked<PaintingHeader>);
      else if (channel === "rival painting") await this.listener?.onRival(look as Looked<PaintingHeader>);
      else await this.listener?.onWalls(look as unknown as Looked<WallsHeader>);
    } finally {
      this.send({ type: "ack", id: look.header.id });
    }
  }

  send(command: Command): void {
    if (command.type === "watch") this.watch = command;
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(command));
  }

  async upload(file: Blob, name: string): Promise<Picture & { notes: string[] }> {
    const answer = await fetch(`/api/pictures?name=${encodeURIComponent(name)}`, { method: "POST", body: file });
    return (await this.checked(answer)).json() as Promise<Picture & { notes: string[] }>;
  }

  pictureUrl(key: string): string {
    return `/api/pictures/${encodeURIComponent(key)}`;
  }

  async picture(key: string): Promise<Blob> {
    return (await this.get(this.pictureUrl(key))).blob();
  }

  async runs(): Promise<RunRow[]> {
    return ((await (await this.get("/api/runs")).json()) as { runs: RunRow[] }).runs;
  }

  async story(run: string): Promise<Story> {
    return (await this.get(this.of(run))).json() as Promise<Story>;
  }

  async target(run: string): Promise<Blob> {
    return (await this.get(`${this.of(run)}/target`)).blob();
  }

  async frame(run: string, step: number): Promise<Blob> {
    return (await this.get(`${this.of(run)}/frames/${step}`)).blob();
  }

  wall(run: string, step: number | null, layer: number, together: number): Promise<Looked<WallsHeader>> {
    return this.look(`${this.of(run)}/walls/${layer}`, step, { together: String(together) });
  }

  neuron(run: string, step: number | null, layer: number, index: number): Promise<Looked<NeuronHeader>> {
    return this.look(`${this.of(run)}/neurons/${layer}/${index}`, step);
  }

  without(run: string, step: number | null, neurons: [number, number][]): Promise<Looked<PaintingHeader>> {
    const text = neurons.map(([layer, index]) => `${layer}:${index}`).join(",");
    return this.look(`${this.of(run)}/without`, step, { neurons: text });
  }

  async order(run: string, step: number | null, layer: number, by: string) {
    const found = await this.look<{ order: number[]; worth: number[] }>(`${this.of(run)}/orders/${layer}`, step, { by });
    return found.header;
  }

  exportUrl(run: string, file: string, options: Record<string, string>): string {
    const query = new URLSearchParams(options).toString();
    return `${this.of(run)}/export/${file}${query && `?${query}`}`;
  }

  private of(run: string): string {
    return `/api/runs/${encodeURIComponent(run)}`;
  }

  private async look<H>(path: string, step: number | null, more: Record<string, string> = {}): Promise<Looked<H>> {
    const query = new URLSearchParams({ ...more, ...(step === null ? {} : { step: String(step) }) });
    const answer = await this.get(`${path}?${query}`);
    return unpacked<H>(await answer.arrayBuffer());
  }

  private async get(path: string): Promise<Response> {
    return this.checked(await fetch(path));
  }

  private async checked(answer: Response): Promise<Response> {
    if (answer.ok) return answer;
    const text = await answer.text();
    let said = text;
    try {
      said = (JSON.parse(text) as { error: string }).error;
    } catch {
      // plain text of the guard
    }
    throw new Error(said || `the server answered ${answer.status}`);
  }
}
