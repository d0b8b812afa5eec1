/** A WebSocket that reconnects, with longer pauses after each failure. */

const PAUSES = [300, 1000, 2000, 5000];

export interface SocketEvents {
  opened(send: (text: string) => void): void;
  received(text: string): void;
  closed(): void;
}

export function connect(path: string, events: SocketEvents): void {
  let failures = 0;
  const open = () => {
    const url = new URL(path, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.onopen = () => {
      failures = 0;
      events.opened((text) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(text);
      });
    };
    socket.onmessage = (event) => events.received(String(event.data));
    socket.onclose = () => {
      events.closed();
      setTimeout(open, PAUSES[Math.min(failures++, PAUSES.length - 1)]);
    };
  };
  open();
}
