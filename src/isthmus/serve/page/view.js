// Shows things. Text is only ever set as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const WORD = /[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[\p{L}\p{N}\p{M}]+(?:['’][\p{L}\p{N}\p{M}]+)*|[^\s]/gu;
const DOUBT = Math.log(0.3);

// Offsets of the server count characters (code points), those of JavaScript UTF-16 units.
export function offsets(text) {
  const units = [0];
  for (const character of text) units.push(units.at(-1) + character.length);
  return (count) => units[Math.min(count, units.length - 1)];
}

// The words of an output with their pieces, and the words of the input that they come from.
export function words(output) {
  const at = offsets(output.text);
  const pieces = output.parts.flatMap((part, number) => part.pieces.map((piece, place) => ({ ...piece, part: number, place })));
  return [...output.text.matchAll(WORD)].map((match) => {
    const start = match.index, end = start + match[0].length;
    const within = (place) => at(place.start) < end && at(place.end) > start;
    const own = pieces.filter(within);
    return {
      text: match[0], start, end, pieces: own,
      doubtful: own.some((piece) => piece.score !== null && piece.score < DOUBT),
      sources: output.alignment.filter((pair) => within(pair.target)).map((pair) => pair.source),
    };
  });
}

// The output as words that can be pointed at and chosen; between them the text as it is.
export function showWords(place, output, list) {
  const nodes = [];
  let said = 0;
  list.forEach((word, number) => {
    if (word.start > said) nodes.push(output.text.slice(said, word.start));
    const node = element("span", { className: word.doubtful ? "word doubtful" : "word", tabIndex: number ? -1 : 0, textContent: word.text });
    node.setAttribute("role", "button");
    node.dataset.number = number;
    if (word.pieces.length) node.setAttribute("aria-haspopup", "menu");
    nodes.push(node);
    said = word.end;
  });
  nodes.push(output.text.slice(said));
  place.replaceChildren(...nodes);
}

// The input again, behind the field where it is typed, with some words marked.
export function markSource(backdrop, field, sources) {
  const text = field.value, at = offsets(text);
  const nodes = [];
  let said = 0;
  for (const { start, end } of [...sources].sort((one, other) => one.start - other.start)) {
    if (at(start) < said) continue;
    nodes.push(text.slice(said, at(start)), element("mark", { textContent: text.slice(at(start), at(end)) }));
    said = at(end);
  }
  nodes.push(text.slice(said));
  backdrop.replaceChildren(...(sources.length ? nodes : []));
  backdrop.scrollTop = field.scrollTop;
}

const percent = (score) => (score === null ? "" : `${(100 * Math.exp(score)).toFixed(score > Math.log(0.1) ? 0 : 1)} %`);

// The menu of what could have come in place of a word.
export function showRunners(menu, word, anchor, choose) {
  const first = word.pieces[0];
  const title = element("p", { className: "quiet", textContent: `instead of “${word.text}”, go on with` });
  const buttons = first.alternatives.filter((runner) => runner.text.trim()).map((runner) => {
    const button = element("button", { type: "button", tabIndex: -1 },
      element("span", { textContent: runner.text.trim() }),
      element("span", { className: "share", textContent: percent(runner.score) }));
    button.setAttribute("role", "menuitem");
    button.addEventListener("click", () => choose(first, runner));
    return button;
  });
  menu.replaceChildren(title, ...(buttons.length ? buttons : [element("p", { textContent: "nothing else was considered" })]));
  menu.hidden = false;
  const paper = menu.parentElement.getBoundingClientRect(), box = anchor.getBoundingClientRect();
  const left = Math.max(4, Math.min(box.left - paper.left, paper.width - menu.offsetWidth - 4));
  menu.style.left = `${left}px`;
  menu.style.top = `${box.bottom - paper.top + 4}px`;
  buttons[0]?.focus();
}

export function showOutputs(list, outputs, chosen, choose) {
  list.replaceChildren(...outputs.map((output, number) => {
    const button = element("button", { type: "button", textContent: output.text || "(nothing)" });
    button.dir = "auto";
    button.setAttribute("aria-pressed", String(number === chosen));
    button.addEventListener("click", () => choose(number));
    return element("li", {}, button);
  }));
}

// A piece as one reads it: the end by name, and no mark for the space before it.
const readable = (piece) => (piece === "</s>" ? "(end)" : piece.replace(/^▁(?=.)/u, ""));

// Attention as a table: a row for each piece of the output, a column for each of the input.
export function showMap(place, found, layer, head) {
  const heads = found.weights[layer];
  const of = head === "mean"
    ? heads[0].map((row, t) => row.map((_, s) => heads.reduce((sum, one) => sum + one[t][s], 0) / heads.length))
    : heads[Number(head)];
  const column = (text) => { const made = element("th", { textContent: readable(text) }); made.scope = "col"; return made; };
  const top = element("tr", {}, element("td"), ...found.source.map(column));
  const rows = found.target.map((piece, t) => {
    const name = element("th", { textContent: readable(piece) });
    name.scope = "row";
    const cells = of[t].map((share, s) => {
      const shade = element("i");
      shade.style.opacity = String(Math.min(1, share));
      return element("td", { title: `${readable(piece)} ← ${readable(found.source[s])}: ${(100 * share).toFixed(0)} %` }, shade);
    });
    return element("tr", {}, name, ...cells);
  });
  place.replaceChildren(element("table", {}, element("thead", {}, top), element("tbody", {}, ...rows)));
}
