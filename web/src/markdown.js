// markdown.js: what a model writes, as elements that can do nothing but be read.
//
// Two walls stand between a model's text and the page: markdown-it passes no HTML through, and DOMPurify lets only the elements below out. The third is the
// server's Content-Security-Policy. Pictures are never loaded: asking another host for one would tell it what was said here.

import MarkdownIt from 'markdown-it';
import DOMPurify from 'dompurify';
import { copyButton, el } from './dom.js';

const md = new MarkdownIt({ html: false, linkify: true });
md.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false }); // main.py is no address in Paraguay

// Headings of a message stand below those of the page (h1) and of the message (h2). Alignment is a class, since the policy allows no style attributes.
md.core.ruler.push('house', ({ tokens }) => {
  for (const token of tokens) {
    if (token.type.startsWith('heading_')) token.tag = `h${Math.min(6, Number(token.tag[1]) + 2)}`;
    const align = /text-align:\s*(left|center|right)/.exec(token.attrGet('style') ?? '')?.[1];
    if (align) token.attrs = [['class', `align-${align}`]];
    for (const child of token.children ?? []) {
      if (child.type !== 'link_open') continue;
      child.attrSet('target', '_blank');
      child.attrSet('rel', 'noopener noreferrer nofollow');
    }
  }
});
md.renderer.rules.image = (tokens, i) => `[picture: ${md.utils.escapeHtml(tokens[i].content)} ${md.utils.escapeHtml(tokens[i].attrGet('src') ?? '')}]`;

const ALLOWED = {
  ALLOWED_TAGS: ['p', 'br', 'hr', 'h3', 'h4', 'h5', 'h6', 'strong', 'em', 's', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li', 'a', 'table', 'thead', 'tbody',
    'tr', 'th', 'td'],
  ALLOWED_ATTR: ['href', 'title', 'target', 'rel', 'class', 'start'],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i, // no address of this page's own: a model's link must not look like one of ours
  ADD_URI_SAFE_ATTR: ['target', 'rel', 'start'], // they are no addresses
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

/** Elements for clean HTML of markdown-it's, with buttons to copy code, and what is wider than a phone in a box that scrolls. */
function elements(html) {
  const fragment = DOMPurify.sanitize(html, ALLOWED);
  for (const node of [...fragment.childNodes]) if (node.nodeType === Node.TEXT_NODE) node.remove(); // line ends between blocks
  for (const pre of fragment.querySelectorAll('pre')) {
    const code = pre.querySelector('code');
    const language = /^language-([\w+#.-]{1,30})/.exec(code?.className ?? '')?.[1] ?? '';
    pre.setAttribute('tabindex', '0'); // it may scroll, which the keyboard must be able to do
    pre.setAttribute('role', 'group'); // not a region: those are for what one looks for in the whole page
    pre.setAttribute('aria-label', language ? `Code, ${language}` : 'Code');
    const box = el('div', { class: 'code' });
    pre.replaceWith(box);
    box.append(el('div', { class: 'code-head' }, el('span', {}, language), copyButton('Copy this code', () => pre.textContent)), pre);
  }
  for (const table of fragment.querySelectorAll('table')) {
    const box = el('div', { class: 'wide', role: 'group', 'aria-label': 'Table', tabindex: '0' });
    table.replaceWith(box);
    box.append(table);
  }
  return fragment;
}

/** The place in `text` where its line number `line` (from 0) begins. */
function offsetOfLine(text, line) {
  let at = 0;
  for (; line > 0; line--) at = text.indexOf('\n', at) + 1;
  return at;
}

/** Markdown that is still being written, in `node`. A block that another one follows cannot change any more: it is rendered once and left alone, so that
 *  a long answer costs no more at its end than at its beginning, and what is selected stays selected. */
export class Growing {
  #node;
  #tail = el('div', { class: 'tail' });
  #from = 0; // where in the text the blocks begin that may still change
  #html = ''; // of those that may not
  #env = {};

  constructor(node) {
    this.#node = node;
    node.replaceChildren(this.#tail);
  }

  /** `text` begins with the text of the call before. `onBlock(element)` gets each block that is complete now. */
  update(text, onBlock) {
    const rest = text.slice(this.#from).replaceAll('\r', ' ');
    const tokens = md.parse(rest, this.#env);
    const last = tokens.findLastIndex((t) => t.level === 0 && t.map && t.nesting >= 0);
    const at = last > 0 ? offsetOfLine(rest, tokens[last].map[0]) : 0;
    let tail = tokens;
    // A line that is not complete may yet turn into a part of the block before it ("2" into "2. second").
    if (at > 0 && rest.indexOf('\n', at) >= 0) {
      const html = md.renderer.render(tokens.slice(0, last), md.options, this.#env);
      const blocks = elements(html);
      const ended = [...blocks.children];
      this.#tail.before(blocks);
      this.#html += html;
      this.#from += at;
      tail = tokens.slice(last);
      ended.forEach(onBlock);
    }
    this.#tail.replaceChildren(elements(md.renderer.render(tail, md.options, this.#env)));
  }

  /** The whole text is there. What could only be known at the end, such as where a reference leads, is put right. */
  finish(text, onBlock) {
    this.update(text, onBlock);
    const html = md.render(text);
    [...this.#tail.children].forEach(onBlock);
    const asShown = this.#html + md.renderer.render(md.parse(text.slice(this.#from).replaceAll('\r', ' '), this.#env), md.options, this.#env);
    if (asShown === html) this.#tail.replaceWith(...this.#tail.children);
    else this.#node.replaceChildren(elements(html));
  }
}

/** Markdown that is complete. */
export function render(node, text) {
  node.replaceChildren(elements(md.render(text)));
}

/** A block as a screen reader should say it: code is named, not spelled. */
export function spoken(block) {
  const code = block.matches('.code') ? block : null;
  if (!code) return block.textContent.trim();
  const lines = code.querySelector('pre').textContent.trimEnd().split('\n').length;
  return `${code.querySelector('pre').getAttribute('aria-label')}, ${lines} ${lines === 1 ? 'line' : 'lines'}.`;
}
