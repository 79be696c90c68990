"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const at = (id) => document.getElementById(id);

  /** A piece as it is written here: spaces must be seen. */
  const shown = (piece) => piece.replace(/ /g, "␣").replace(/\n/g, "⏎") || "∅";
  const cut = (text, most) => ([...text].length > most ? [...text].slice(0, most - 1).join("") + "…" : text);
  const percent = (share) => (share >= 0.9995 ? "100 %" : share < 0.0005 ? "< 0.1 %" : (share * 100).toFixed(1) + " %");

  const filled = (element, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    for (const child of children) element.append(child);
    return element;
  };
  const html = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
  const svg = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);
  const picture = (width, height, label, ...children) =>
    svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...children);

  /** How wide a text will be, in pixels. */
  const ruler = document.createElement("canvas").getContext("2d");
  const widthOf = (text, size) => {
    ruler.font = `${size}px system-ui, sans-serif`;
    return ruler.measureText(text).width;
  };

  function head() {
    document.title = `Inside the model: ${cut(data.source, 60)}`;
    at("source").textContent = data.source;
    at("target").textContent = data.target || "(nothing)";
    for (const [name, value] of data.model) at("facts").append(html("div", {}, html("dt", {}, name), html("dd", {}, value)));
    const notes = [...data.notes];
    if (data.given) notes.unshift(`This output was given; the model itself finds: ${data.found || "(nothing)"}`);
    for (const note of notes) at("notes").append(html("li", {}, note));
    for (const piece of data.source_pieces) at("source-pieces").append(html("span", {}, shown(piece)));
    for (const token of data.tokens) at("target-pieces").append(html("span", {}, shown(token.piece)));
  }

  /** Words of the source on the left, of the output on the right, and a line between those that go together. */
  function alignment() {
    const { links, origin, source_words: left, target_words: right } = data.alignment;
    at("origin").textContent = links.length ? `By ${origin}.` : `No links: ${origin.replace(/^none: /, "")}.`;
    if (!links.length) return;
    const row = 28, size = 15, most = Math.max(90, Math.min(220, (at("links").clientWidth - 110) / 2));
    const fitting = (text) => {
      let length = [...text].length;
      while (length > 2 && widthOf(cut(text, length), size) > most) length -= 1;
      return cut(text, length);
    };
    const wide = (words) => Math.min(most, Math.max(...words.map((word) => widthOf(word.text, size)))) + 8;
    const from = wide(left), gap = Math.max(80, Math.min(200, at("links").clientWidth - from - wide(right)));
    const height = row * Math.max(left.length, right.length) + 8;
    const drawing = picture(from + gap + wide(right), height, "Words of the source and of the output, linked");
    const y = (words, place) => row * (place + 0.5) + 4 + ((Math.max(left.length, right.length) - words.length) * row) / 2;
    const place = (words, span) => words.findIndex((word) => word.start === span.start);
    const lines = links.map((link) => {
      const a = y(left, place(left, link.source)), b = y(right, place(right, link.target));
      const path = `M${from},${a} C${from + gap / 2},${a} ${from + gap / 2},${b} ${from + gap},${b}`;
      const line = svg("path", { d: path, class: "link", "stroke-opacity": 0.25 + 0.75 * link.weight });
      drawing.append(line);
      return { link, line };
    });
    const choose = (side, word) => {
      const own = lines.filter(({ link }) => link[side].start === word.start);
      for (const { line } of lines) line.classList.toggle("faded", own.length > 0 && !own.some((one) => one.line === line));
      at("links-said").textContent = own.length
        ? own.map(({ link }) => `${link.source.text} → ${link.target.text} (${percent(link.weight)} of the attention)`).join("; ")
        : `${word.text}: no link`;
    };
    const column = (words, side, x, anchor) => words.forEach((word, number) => {
      const text = svg("text", { x, y: y(words, number) + 5, "text-anchor": anchor, "font-size": size }, fitting(word.text));
      const group = svg("g", { class: "word", tabindex: 0, role: "button", "aria-label": word.text }, text);
      group.append(svg("rect", { class: "hit", x: side === "source" ? 0 : x, y: y(words, number) - row / 2, width: most, height: row }));
      for (const event of ["pointerenter", "click", "focus"]) group.addEventListener(event, () => choose(side, word));
      drawing.append(group);
    });
    column(left, "source", from - 6, "end");
    column(right, "target", from + gap + 6, "start");
    drawing.addEventListener("pointerleave", () => lines.forEach(({ line }) => line.classList.remove("faded")));
    at("links").append(drawing);
  }

  /** A heat map that says its values under the pointer and under a cursor that the arrow keys move. */
  function heatMap(place, values, rows, columns, label, say) {
    const cell = Math.max(14, Math.min(26, 520 / Math.max(1, columns.length))), size = 13, most = 14;
    const names = (list) => list.map((name) => cut(shown(name), most));
    const left = Math.max(...names(rows).map((name) => widthOf(name, size))) + 10;
    const top = Math.max(...names(columns).map((name) => widthOf(name, size))) * 0.87 + 14;
    const width = left + cell * columns.length + top * 0.6, height = top + cell * rows.length + 4;
    const drawing = picture(Math.ceil(width), Math.ceil(height), label);
    drawing.setAttribute("tabindex", 0);
    names(rows).forEach((name, r) =>
      drawing.append(svg("text", { x: left - 6, y: top + cell * (r + 0.5) + 4, "text-anchor": "end", "font-size": size }, name)));
    names(columns).forEach((name, c) => {
      const x = left + cell * (c + 0.5) + 3, y = top - 6;
      drawing.append(svg("text", { x, y, "font-size": size, transform: `rotate(-60 ${x} ${y})` }, name));
    });
    drawing.append(svg("rect", { class: "frame", x: left, y: top, width: cell * columns.length, height: cell * rows.length }));
    values.forEach((row, r) => row.forEach((value, c) => {
      if (Math.abs(value) < 0.004) return;
      const kind = value < 0 ? "cell negative" : "cell";
      const size = { x: left + cell * c + 0.5, y: top + cell * r + 0.5, width: cell - 1, height: cell - 1 };
      drawing.append(svg("rect", { class: kind, ...size, "fill-opacity": Math.min(1, Math.abs(value)) }));
    }));
    const cursor = svg("rect", { class: "cursor", width: cell, height: cell, visibility: "hidden" });
    drawing.append(cursor);
    let here = [0, 0];
    const go = (r, c) => {
      if (r < 0 || c < 0 || r >= rows.length || c >= columns.length) return;
      here = [r, c];
      filled(cursor, { x: left + cell * c, y: top + cell * r, visibility: "visible" }, []);
      say(r, c, values[r][c]);
    };
    drawing.addEventListener("pointermove", (event) => {
      const box = drawing.getBoundingClientRect();
      go(Math.floor((event.clientY - box.top - top) / cell), Math.floor((event.clientX - box.left - left) / cell));
    });
    drawing.addEventListener("focus", () => go(...here));
    drawing.addEventListener("keydown", (event) => {
      const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!by) return;
      event.preventDefault();
      go(here[0] + by[0], here[1] + by[1]);
    });
    place.replaceChildren(drawing);
  }

  function plane() {
    const { points, labels, shares } = data.encoded, width = Math.max(300, Math.min(480, at("plane").clientWidth)), height = width * 0.75, edge = 30;
    const range = (axis) => {
      const values = points.map((point) => point[axis]);
      const low = Math.min(...values), high = Math.max(...values);
      return (value) => (high > low ? (value - low) / (high - low) : 0.5);
    };
    const [across, up] = [range(0), range(1)];
    const drawing = picture(width, height, "The vectors of the source on a plane");
    drawing.style.maxWidth = "100%";
    drawing.style.height = "auto";
    drawing.append(svg("rect", { class: "frame", x: 1, y: 1, width: width - 2, height: height - 2, rx: 6 }));
    const taken = [];
    points.forEach((point, number) => {
      const x = edge + across(point[0]) * (width - 3 * edge - 40), y = height - edge - up(point[1]) * (height - 2 * edge);
      const name = cut(shown(labels[number]), 16);
      let lift = 5;
      const box = () => ({ x, y: y + lift, w: widthOf(name, 15) + 10 });
      const clash = (one) => taken.some((other) => one.x < other.x + other.w && other.x < one.x + one.w && Math.abs(one.y - other.y) < 14);
      for (const step of [5, 19, -9, 33, -23]) {
        lift = step;
        if (!clash(box())) break;
      }
      taken.push(box());
      drawing.append(svg("circle", { class: "dot", cx: x, cy: y, r: 4 }));
      drawing.append(svg("text", { x: x + 8, y: y + lift, "font-size": 15 }, name));
    });
    at("plane").append(drawing);
    const held = shares.map(percent);
    at("plane-about").textContent =
      `The vectors along the two directions in which they differ most; these hold ${held[0]} and ${held[1]} of the variance.`;
  }

  function memory() {
    const { labels, size, cosines } = data.encoded;
    const same = labels.length === data.source_pieces.length;
    at("memory-about").textContent = same
      ? `One vector of ${size} numbers for each piece: this is all that the decoder can know of the source.`
      : `${labels.length} vectors of ${size} numbers, which are not the pieces one by one: all that the decoder can know of the source.`;
    plane();
    heatMap(at("cosines"), cosines, labels, labels, "Cosines between the vectors of the source", (r, c, value) => {
      at("cosines-said").textContent = `${shown(labels[r])} and ${shown(labels[c])}: ${value.toFixed(3)}`;
    });
  }

  const mean = (matrices) => matrices[0].map((row, r) => row.map((_, c) => matrices.reduce((sum, one) => sum + one[r][c], 0) / matrices.length));

  function thumbnail(canvas, values) {
    canvas.width = values[0].length;
    canvas.height = values.length;
    const brush = canvas.getContext("2d");
    brush.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
    values.forEach((row, r) => row.forEach((value, c) => {
      brush.globalAlpha = Math.min(1, value);
      brush.fillRect(c, r, 1, 1);
    }));
  }

  /** One small map for each head of each layer, and the chosen one large. */
  function attention() {
    const rows = data.tokens.map((token) => token.piece);
    const maps = data.layers.map((layer, number) => {
      const heads = layer.heads.map((values, head) => ({ name: `head ${head + 1}`, values }));
      if (heads.length > 1) heads.push({ name: "mean", values: mean(layer.heads) });
      if (layer.copy.length) heads.push({ name: "copying", values: layer.copy });
      return heads.map((head) => ({ ...head, columns: layer.columns, layer: number + 1 })).filter((head) => head.columns.length);
    });
    const all = maps.flat();
    if (!all.length) {
      at("attention-about").textContent =
        "The decoder of this model has no attention weights, so there is no picture of where it looked: it reads the same vector, or none, at every step.";
      return;
    }
    at("attention-about").textContent =
      "For each piece of the output (a row), how much of each position of the source (a column) was read. Each row sums to 1. Choose a head.";
    const select = (map) => {
      for (const one of all) one.button.setAttribute("aria-pressed", one === map);
      at("head-name").textContent = `Layer ${map.layer}, ${map.name}`;
      heatMap(at("map"), map.values, rows, map.columns, `Attention of layer ${map.layer}, ${map.name}`, (r, c, value) => {
        at("map-said").textContent = `for ${shown(rows[r])}: ${percent(value)} of ${shown(map.columns[c])}`;
      });
      at("map-said").textContent = "";
    };
    const names = all.map((map) => map.name).filter((name, place, list) => list.indexOf(name) === place);
    at("heads").append(html("tr", {}, html("th"), ...names.map((name) => html("th", { scope: "col" }, name))));
    maps.forEach((layer, number) => {
      const line = html("tr", {}, html("th", { scope: "row" }, `layer ${number + 1}`));
      for (const name of names) {
        const cell = html("td"), map = layer.find((one) => one.name === name);
        if (map) {
          map.canvas = html("canvas");
          map.button = html("button", { type: "button", "aria-label": `Layer ${map.layer}, ${map.name}` }, map.canvas);
          map.button.addEventListener("click", () => select(map));
          thumbnail(map.canvas, map.values);
          cell.append(map.button);
        }
        line.append(cell);
      }
      at("heads").append(line);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all.forEach((map) => thumbnail(map.canvas, map.values)));
    const last = maps[maps.length - 1];
    select(last.find((map) => map.name === "mean") || last[0] || all[0]);
  }

  function tokens() {
    for (const token of data.tokens) {
      const bar = html("div", { class: "bar" }, html("i"), html("b", {}, percent(token.probability)));
      bar.firstChild.style.width = `${token.probability * 100}%`;
      const others = html("div", { class: "others" });
      if (token.rank > 1) others.append(html("span", {}, `number ${token.rank} of all`));
      for (const other of token.others) {
        others.append(html("span", {}, html("span", { class: "piece" }, shown(other.piece)), ` ${percent(other.probability)}`));
      }
      at("tokens").append(html("li", {}, html("div", {}, html("span", { class: "piece" }, shown(token.piece))), bar, others));
    }
  }

  /** Depth goes to the right, and each end of a way has a line of its own. */
  function tree() {
    const nodes = data.tree, row = 22, size = 13;
    const ended = nodes.filter((node) => node.stop).length;
    at("search-about").textContent =
      `${data.search}; log-probability of the best output ${nodes.filter((node) => node.best).pop().score.toFixed(3)}. ` +
      `Every beam that lived is drawn: ${nodes.length - 1} pieces, ${ended} finished outputs (filled), the best one in green.`;
    const children = nodes.map(() => []);
    nodes.forEach((node, number) => node.parent >= 0 && children[node.parent].push(number));
    const widest = [];
    nodes.forEach((node) => {
      widest[node.depth] = Math.max(widest[node.depth] || 0, widthOf(cut(shown(node.piece || "start"), 14), size) + 36);
    });
    const x = [0];
    widest.forEach((width, depth) => { x[depth + 1] = x[depth] + width; });
    const y = nodes.map(() => 0);
    let line = 0;
    const stack = [[0, false]];
    while (stack.length) {
      const [number, seen] = stack.pop(), under = children[number];
      if (!under.length) y[number] = line++ * row + 16;
      else if (seen) y[number] = (y[under[0]] + y[under[under.length - 1]]) / 2;
      else {
        under.sort((a, b) => Number(nodes[b].best) - Number(nodes[a].best));
        stack.push([number, true], ...under.map((one) => [one, false]).reverse());
      }
    }
    const drawing = picture(Math.ceil(x[x.length - 1] + 20), line * row + 16, "The tree of beams");
    drawing.removeAttribute("role");
    const place = (number) => [x[nodes[number].depth] + 8, y[number]];
    nodes.forEach((node, number) => {
      if (node.parent < 0) return;
      const [x1, y1] = place(node.parent), [x2, y2] = place(number), start = x2 - 22;
      const path = `M${x1},${y1} H${start} C${start + 12},${y1} ${start + 6},${y2} ${x2},${y2}`;
      drawing.append(svg("path", { d: path, class: node.best ? "branch best" : "branch" }));
    });
    const said = { end: "ended", max_length: "stopped at its maximum length", dead_end: "nothing could follow" };
    nodes.forEach((node, number) => {
      const [cx, cy] = place(number), name = cut(shown(node.piece || "start"), 14);
      const kind = `node${node.best ? " best" : ""}${node.stop ? " ended" : ""}`;
      const label = node.parent < 0
        ? "the start"
        : `${shown(node.piece)}: ${percent(Math.exp(node.log_prob))} here, log-probability ${node.score.toFixed(3)} so far` +
          (node.stop ? `, ${said[node.stop]}` : children[number].length ? "" : ", given up");
      const group = svg("g", { class: kind, tabindex: 0, role: "button", "aria-label": label },
        svg("circle", { cx, cy, r: 4.5 }), svg("text", { x: cx + 8, y: cy + 4.5, "font-size": size, "paint-order": "stroke" }, name));
      group.lastChild.style.stroke = "var(--panel)";
      group.lastChild.style.strokeWidth = "4px";
      for (const event of ["pointerenter", "click", "focus"]) {
        group.addEventListener(event, () => { at("tree-said").textContent = label; });
      }
      drawing.append(group);
    });
    at("tree").append(drawing);
  }

  for (const part of [head, alignment, memory, attention, tokens, tree]) part();
})();
