import assert from "node:assert/strict";
import { test } from "node:test";

import { escaped, pageHtml } from "../src/page";

const SOURCE = "https://*.vscode-cdn.net";
const EVIL = `"><script>alert(1)</script><img src=x onerror='alert(1)'>&`;

test("the policy allows pictures of the panel and one style sheet", () => {
  const html = pageHtml({ title: "a.grain", status: "…" }, SOURCE, "N0nce+/=");
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1];
  assert.equal(
    policy?.replaceAll("&#39;", "'"),
    `default-src 'none'; img-src ${SOURCE}; style-src 'nonce-N0nce+/='`,
  );
  assert.match(html, /<style nonce="N0nce\+\/=">/);
  assert.doesNotMatch(html, /<script|http:|style="| on\w+=/);
});

test("text from files stays text", () => {
  const html = pageHtml({ title: EVIL, status: EVIL, picture: EVIL, findings: EVIL }, SOURCE, "n");
  assert.doesNotMatch(html, /<script|<img src=x|onerror='/);
  assert.equal(html.split("<img ").length, 2);
  assert.equal(html.split(escaped(EVIL)).length, 7);
});

test("a picture has words, and findings are optional", () => {
  const html = pageHtml({ title: "a.grain", status: "saved", picture: "p.png" }, SOURCE, "n");
  assert.match(html, /<img src="p.png" alt="Regions of a.grain on its frames">/);
  assert.match(html, /<p role="status">saved<\/p>/);
  assert.doesNotMatch(html, /<pre>/);
});
