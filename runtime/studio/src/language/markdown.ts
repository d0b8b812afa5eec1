/** The Markdown that the language server writes, as elements: never as HTML. */

import { h } from "../dom";

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|!\[([^\]]*)\]\(([^)\s]+)\)|\[([^\]]*)\]\(([^)\s]+)\)|\*([^*\s][^*]*)\*/g;

/** Code, bold, emphasis, pictures that are data URIs; other links are shown as their words. */
export function inline(text: string): Node[] {
  const nodes: Node[] = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > end) nodes.push(new Text(text.slice(end, match.index)));
    end = match.index + match[0].length;
    const [, code, bold, alt, source, label, , emphasis] = match;
    if (code !== undefined) nodes.push(h("code", {}, code));
    else if (bold !== undefined) nodes.push(h("strong", {}, bold));
    else if (source !== undefined)
      nodes.push(
        /^data:image\/(png|jpeg|webp);base64,/.test(source)
          ? h("img", { src: source, alt: alt ?? "" })
          : new Text(alt ?? ""),
      );
    else if (label !== undefined) nodes.push(new Text(label));
    else nodes.push(h("em", {}, emphasis ?? ""));
  }
  if (end < text.length) nodes.push(new Text(text.slice(end)));
  return nodes;
}

const withInline = <E extends HTMLElement>(element: E, text: string): E => {
  element.append(...inline(text));
  return element;
};

/** Paragraphs, lists, headings, code blocks and tables' rows. */
export function markdown(text: string): HTMLElement {
  const root = h("div", { class: "markdown" });
  const lines = text.split("\n");
  let list: HTMLUListElement | null = null;
  let paragraph: string[] = [];
  const flush = () => {
    if (paragraph.length) root.append(withInline(h("p"), paragraph.join(" ")));
    paragraph = [];
    list = null;
  };
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    const fence = /^\s*```/.test(line);
    const item = /^\s*[-*] (.*)/.exec(line);
    const heading = /^#{1,6} (.*)/.exec(line);
    if (fence) {
      flush();
      const code: string[] = [];
      while (++i < lines.length && !/^\s*```/.test(lines[i]!)) code.push(lines[i]!);
      root.append(h("pre", {}, h("code", {}, code.join("\n"))));
    } else if (heading) {
      flush();
      root.append(withInline(h("h4"), heading[1]!));
    } else if (item) {
      if (!list) flush();
      list ??= root.appendChild(h("ul"));
      list.append(withInline(h("li"), item[1]!));
    } else if (/^\s*(---+|\*\*\*+)\s*$/.test(line)) {
      flush();
      root.append(h("hr"));
    } else if (line.trim()) paragraph.push(line.trim());
    else flush();
  }
  flush();
  return root;
}
