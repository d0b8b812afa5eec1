import { ChangeSet, Text } from "@codemirror/state";
import { describe, expect, it } from "vitest";

import { LanguageClient, type Diagnostic } from "../src/language/client";
import { Refusal, Rpc } from "../src/language/rpc";

interface Sent {
  id?: number;
  method?: string;
  params?: { textDocument?: { version?: number; text?: string }; contentChanges?: { text: string }[] };
}

async function connected() {
  const sent: Sent[] = [];
  const lists: Diagnostic[][] = [];
  const client = new LanguageClient({ diagnostics: (list) => lists.push(list), connected: () => undefined, refresh: () => undefined });
  client.open("file:///a.grain", Text.of(["grain 1", ""]));
  const greeting = client.greet((text) => sent.push(JSON.parse(text) as Sent));
  const reply = (result: unknown) => client.receive(JSON.stringify({ jsonrpc: "2.0", id: sent.at(-1)!.id, result }));
  reply({ capabilities: {} });
  await greeting;
  const type = (before: Text, insert: string) => {
    const changes = ChangeSet.of([{ from: before.length, insert }], before.length);
    const after = changes.apply(before);
    client.changed(changes, before, after);
    return after;
  };
  return { client, sent, lists, reply, type };
}

describe("the language client", () => {
  it("opens the document once connected, and again after a lost connection", async () => {
    const { client, sent, reply } = await connected();
    expect(sent.map((m) => m.method)).toEqual(["initialize", "initialized", "textDocument/didOpen"]);
    const again = client.greet((text) => sent.push(JSON.parse(text) as Sent));
    reply({ capabilities: {} });
    await again;
    expect(sent.at(-1)!.method).toBe("textDocument/didOpen");
    expect(sent.at(-1)!.params!.textDocument!.text).toBe("grain 1\n");
  });
  it("sends changes before it asks", async () => {
    const { client, sent, type } = await connected();
    type(Text.of(["grain 1", ""]), "x");
    void client.shapes(0);
    expect(sent.slice(-2).map((m) => m.method)).toEqual(["textDocument/didChange", "grain/shapes"]);
    void client.gesture({ kind: "point", frame: 0, region: null, points: [[0, 0]] });
    expect(Object.keys(sent.at(-1)!.params!)).toEqual(["textDocument", "gesture"]);
    sent.pop();
    expect(sent.at(-1)!.params!.textDocument!.version).toBe(sent.at(-2)!.params!.textDocument!.version);
  });
  it("drops an answer about a text that changed meanwhile", async () => {
    const { client, reply, type } = await connected();
    const asked = client.shapes(0);
    type(Text.of(["grain 1", ""]), "x");
    reply([]);
    expect(await asked).toBeNull();
  });
  it("takes findings about the current text only", async () => {
    const { client, lists, sent, type } = await connected();
    const version = sent.at(-1)!.params!.textDocument!.version!;
    const publish = (v: number) =>
      client.receive(JSON.stringify({ method: "textDocument/publishDiagnostics", params: { uri: client.uri, version: v, diagnostics: [] } }));
    publish(version);
    type(Text.of(["grain 1", ""]), "x");
    client.flush();
    publish(version);
    expect(lists.length).toBe(1);
    publish(version + 1);
    expect(lists.length).toBe(2);
  });
});

describe("JSON-RPC", () => {
  it("refuses with the server's words and data", async () => {
    const rpc = new Rpc({ send: () => undefined });
    const asked = rpc.request("grain/gesture", {});
    rpc.receive(JSON.stringify({ id: 1, error: { code: -32803, message: "no region", data: { cure: "draw one" } } }));
    await expect(asked).rejects.toMatchObject({ message: "no region", data: { cure: "draw one" } });
    await expect(asked).rejects.toBeInstanceOf(Refusal);
  });
  it("survives what is not JSON, and answers what it does not know", () => {
    const sent: string[] = [];
    const rpc = new Rpc({ send: (text) => sent.push(text) });
    rpc.receive("{");
    rpc.receive(JSON.stringify({ id: 5, method: "window/showDocument", params: {} }));
    expect(JSON.parse(sent[0]!)).toMatchObject({ id: 5, error: { code: -32601 } });
  });
  it("settles everything when the connection is lost", async () => {
    const rpc = new Rpc({ send: () => undefined });
    const asked = rpc.request("a", {});
    rpc.close();
    await expect(asked).rejects.toThrow("connection closed");
  });
});
