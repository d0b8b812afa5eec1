/** The preview's page, as HTML: one picture, what was found, and nothing that can run. */

export interface Page {
  readonly title: string;
  /** One line on what the page shows, or waits for. */
  readonly status: string;
  /** The picture's address inside the webview. */
  readonly picture?: string | undefined;
  /** Findings, as `grain show` prints them. */
  readonly findings?: string | undefined;
}

/**
 * The page. Its policy allows pictures from `source` (the webview's own folder), the style sheet
 * with `nonce`, and nothing else: no script, no font, no frame, no connection.
 */
export function pageHtml(page: Page, source: string, nonce: string): string {
  const policy = `default-src 'none'; img-src ${source}; style-src 'nonce-${nonce}'`;
  const picture = page.picture
    ? `<img src="${escaped(page.picture)}" alt="${escaped(`Regions of ${page.title} on its frames`)}">`
    : "";
  const findings = page.findings?.trim() ? `<pre>${escaped(page.findings.trim())}</pre>` : "";
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escaped(policy)}">
<title>${escaped(page.title)}</title>
<style nonce="${escaped(nonce)}">${STYLE}</style>
</head>
<body>
<h1>${escaped(page.title)}</h1>
<p role="status">${escaped(page.status)}</p>
${picture}
${findings}
</body>
</html>
`;
}

/** Text in which HTML has no meaning, in content and in attributes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

const STYLE = `
body { color: var(--vscode-foreground); font-family: var(--vscode-font-family); padding: 0 1rem 1rem; }
h1 { font-size: 1.1em; font-weight: 600; margin: 0.8rem 0 0.2rem; }
p { color: var(--vscode-descriptionForeground); margin: 0 0 0.8rem; }
img { display: block; max-width: 100%; height: auto; }
pre { font-family: var(--vscode-editor-font-family); white-space: pre-wrap; overflow-wrap: anywhere; }
`;
