"""As much of a browser as the script of the inspection page needs: elements in memory, no layout."""

from __future__ import annotations

import json
import re
from typing import Any

from py_mini_racer import MiniRacer

_ELEMENTS = """
class Element {
  constructor(tag) {
    Object.assign(this, { tag, children: [], attributes: {}, listeners: {}, style: {}, names: new Set(), clientWidth: 400 });
    const names = this.names;
    this.classList = { toggle: (name, on) => (on ? names.add(name) : names.delete(name)), remove: (name) => names.delete(name) };
  }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  removeAttribute(name) { delete this.attributes[name]; }
  append(...children) { this.children.push(...children); }
  replaceChildren(...children) { this.children = children; }
  get textContent() { return this.children.map((one) => (one instanceof Element ? one.textContent : one)).join(""); }
  set textContent(text) { this.children = [String(text)]; }
  get firstChild() { return this.children[0]; }
  get lastChild() { return this.children[this.children.length - 1]; }
  addEventListener(name, listener) { (this.listeners[name] = this.listeners[name] || []).push(listener); }
  getBoundingClientRect() { return { left: 0, top: 0 }; }
  getContext() { return { measureText: (text) => ({ width: 8 * [...text].length }), fillRect: () => {} }; }
  all(tag) {
    const inside = this.children.filter((one) => one instanceof Element);
    return inside.flatMap((one) => [...(one.tag === tag ? [one] : []), ...one.all(tag)]);
  }
  fire(name, event = {}) { for (const listener of this.listeners[name] || []) listener({ preventDefault() {}, ...event }); }
}
const places = {};
const document = {
  documentElement: new Element("html"),
  getElementById: (id) => places[id],
  createElement: (tag) => new Element(tag),
  createElementNS: (space, tag) => new Element(tag),
};
const getComputedStyle = () => ({ getPropertyValue: () => " #123456" });
const matchMedia = () => ({ addEventListener: () => {} });
"""


class Browser:
    """A page, opened.

    Args:
        page: the HTML file.
    """

    def __init__(self, page: str) -> None:
        self._context = MiniRacer()
        self._context.eval(_ELEMENTS)
        ids = re.findall(r"<(\w+)[^>]* id=\"([\w-]+)\"", page)
        self._context.eval("".join(f"places[{json.dumps(id)}] = new Element({json.dumps(tag)});" for tag, id in ids))
        data, script = re.findall(r"<script[^>]*>\n?(.*?)\n?</script>", page, flags=re.DOTALL)
        self._context.eval(f"places.data.textContent = {json.dumps(data)};")
        self._context.eval(script)

    def say(self, expression: str) -> Any:
        """The value of an expression; `places` holds the elements of the page by their ids."""
        return json.loads(str(self._context.eval(f"JSON.stringify({expression})")))

    def do(self, statement: str) -> None:
        """Run a statement."""
        self._context.eval(f"{{{statement}}}")

    def text(self, id: str) -> str:
        """What stands in an element."""
        return str(self.say(f"places[{json.dumps(id)}].textContent"))
