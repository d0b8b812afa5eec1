/** JSON-RPC 2.0 over anything that carries text messages, one message a text. */

export interface Wire {
  send(text: string): void;
}

interface Message {
  id?: number | string | null;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: { code: number; message: string; data?: unknown };
}

/** An error that the other side answered with. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly code: number,
    readonly data: unknown,
  ) {
    super(message);
  }
}

interface Waiting {
  resolve(value: unknown): void;
  reject(reason: Error): void;
}

export class Rpc {
  private next = 1;
  private readonly waiting = new Map<number | string, Waiting>();
  private readonly notified = new Map<string, (params: never) => void>();
  private readonly asked = new Map<string, (params: never) => unknown>();

  constructor(private readonly wire: Wire) {}

  request<R>(method: string, params: unknown): Promise<R> {
    const id = this.next++;
    return new Promise<R>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.send({ id, method, params });
    });
  }

  notify(method: string, params: unknown): void {
    this.send({ method, params });
  }

  onNotification<P>(method: string, call: (params: P) => void): void {
    this.notified.set(method, call);
  }

  onRequest<P>(method: string, answer: (params: P) => unknown): void {
    this.asked.set(method, answer);
  }

  /** A message from the other side. What is not JSON-RPC is ignored. */
  receive(text: string): void {
    let message: Message;
    try {
      message = JSON.parse(text) as Message;
    } catch {
      return;
    }
    if (message.method === undefined) this.settle(message);
    else if (message.id === undefined || message.id === null)
      this.notified.get(message.method)?.(message.params as never);
    else this.answer(message.id, message.method, message.params);
  }

  /** The connection is lost: nothing will be answered any more. */
  close(): void {
    for (const { reject } of this.waiting.values()) reject(new Refusal("connection closed", 0, null));
    this.waiting.clear();
  }

  private settle({ id, result, error }: Message): void {
    if (id === undefined || id === null) return;
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (error) waiting?.reject(new Refusal(error.message, error.code, error.data));
    else waiting?.resolve(result);
  }

  private answer(id: number | string, method: string, params: unknown): void {
    const answer = this.asked.get(method);
    if (answer) this.send({ id, result: answer(params as never) ?? null });
    else this.send({ id, error: { code: -32601, message: `${method} is not supported` } });
  }

  private send(message: object): void {
    this.wire.send(JSON.stringify({ jsonrpc: "2.0", ...message }));
  }
}
