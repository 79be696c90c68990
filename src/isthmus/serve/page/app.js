// The page: what is typed on the left is read on the right as it comes.

import * as api from "./api.js";
import { generateLines, linesOf, save } from "./files.js";
import { $, element, markSource, offsets, showMap, showOutputs, showRunners, showWords, words } from "./view.js";

const WAIT = 250; // milliseconds without a key before the server is asked
const RUNNERS = 6;

let known = { models: [], limits: { characters: 5000, texts: 32, beams: 16 } };
let running = new AbortController(); // what is being asked for the text as it stands
let timer = 0;
let shown = null; // { outputs, chosen, text: the input, best: the first answer, list: words of the chosen one }
let file = null; // the name of the last file, for the name of the saved one
let seed = 1;

// ---------------------------------------------------------------- models and languages

const model = () => known.models.find((one) => one.name === $("model").value) ?? known.models[0];

const names = typeof Intl.DisplayNames === "function" ? new Intl.DisplayNames(["en"], { type: "language" }) : null;
function languageName(tag) {
  try { return names?.of(tag) ?? tag; } catch { return tag; }
}

function showModels() {
  $("model").replaceChildren(...known.models.map((one) => {
    const pair = one.sources.length === 1 && one.targets.length === 1 ? `${languageName(one.sources[0])} → ${languageName(one.targets[0])}` : "";
    return element("option", { value: one.name, textContent: pair ? `${pair} (${one.name})` : one.name });
  }));
  showLanguages();
}

function showLanguages() {
  const { sources, targets, attention } = model();
  const several = targets.length > 1;
  $("target-language").replaceChildren(...targets.map((tag) => element("option", { value: tag, textContent: languageName(tag) })));
  $("target-language").hidden = $("target-label").hidden = !several;
  $("source-title").textContent = sources.length === 1 ? languageName(sources[0]) : "Text";
  $("output-title").textContent = targets.length === 1 ? languageName(targets[0]) : "Output";
  $("source").lang = sources.length === 1 ? sources[0] : "";
  $("output").lang = several ? $("target-language").value : targets[0] ?? "";
  $("swap").hidden = !backwards();
  $("attention").hidden = !attention;
}

// The model that goes the other way, if there is one.
const backwards = () => known.models.find((one) => one.targets.includes(model().sources[0]) && one.sources.includes(model().targets[0]));

// ---------------------------------------------------------------- asking

const number = (id) => Number($(id).value);
const sampling = () => document.querySelector("input[name=way]:checked").value === "sample";

function options() {
  const several = number("several");
  if (sampling()) {
    return { do_sample: true, temperature: number("temperature"), top_k: number("topk"), top_p: number("topp"), num_return_sequences: several, seed };
  }
  const apart = number("apart");
  const beams = Math.min(known.limits.beams, Math.max(number("beams"), several));
  if (apart > 0 && several > 1) {
    const groups = Math.min(several, known.limits.beams), each = Math.max(1, Math.min(Math.floor(beams / groups), Math.floor(known.limits.beams / groups)));
    return { num_beams: groups * each, num_beam_groups: groups, diversity_penalty: apart, num_return_sequences: groups, length_penalty: number("length") };
  }
  return { num_beams: beams, num_return_sequences: Math.min(several, beams), length_penalty: number("length") };
}

// Options for a stream: one output, by greedy search or the same sampling.
function streamOptions() {
  const { do_sample, temperature, top_k, top_p } = options();
  return do_sample ? { do_sample, temperature, top_k, top_p, seed } : {};
}

function request() {
  const { name, targets } = model();
  return { model: name, ...(targets.length > 1 ? { target_language: $("target-language").value } : {}) };
}

function changed() {
  clearTimeout(timer);
  running.abort();
  markSource($("backdrop"), $("source"), []);
  closeRunners();
  const length = [...$("source").value].length;
  $("count").textContent = length ? `${length.toLocaleString("en")} / ${known.limits.characters.toLocaleString("en")}` : "";
  if (!$("source").value.trim()) { empty(); return; }
  status("…");
  timer = setTimeout(run, WAIT);
}

function empty() {
  shown = null;
  draft("");
  say(null);
  status("");
  $("output").classList.remove("draft");
  for (const id of ["copy", "save"]) $(id).disabled = true;
  for (const id of ["others", "best", "again"]) $(id).hidden = true;
  $("warnings").replaceChildren();
  $("map").replaceChildren();
}

// First a quick draft as it comes, then the whole answer with all that is known of it.
async function run() {
  clearTimeout(timer);
  running.abort();
  running = new AbortController();
  const { signal } = running, text = $("source").value;
  if (!text.trim() || !known.models.length) return;
  say(null);
  status("writing …");
  try {
    let come = "";
    for await (const more of api.stream({ ...request(), text, options: streamOptions() }, signal)) draft(come += more);
    status("looking for the best …");
    const body = { ...request(), texts: [text], options: options(), alignment: true, alternatives: RUNNERS };
    const began = performance.now();
    const found = await api.generate(body, signal);
    if (signal.aborted) return;
    const [answer] = found.answers;
    shown = { text, outputs: answer.outputs, best: answer.outputs, chosen: 0, warnings: answer.warnings };
    show();
    status(`${((performance.now() - began) / 1000).toFixed(1)} s`);
  } catch (error) {
    if (!signal.aborted) failed(error);
  }
}

// A part of the output again, beginning as the reader chose.
async function goOn(piece, runner) {
  closeRunners();
  running.abort();
  running = new AbortController();
  const { signal } = running, output = shown.outputs[shown.chosen], part = output.parts[piece.part];
  const at = offsets(output.text), inText = offsets(shown.text);
  const before = piece.place ? output.text.slice(at(part.start), at(part.pieces[piece.place - 1].end)) : "";
  const prefix = piece.place ? before + runner.text : runner.text.trimStart();
  status("going on from there …");
  try {
    const own = { ...options(), num_return_sequences: 1, prefix };
    delete own.num_beam_groups;
    delete own.diversity_penalty;
    const source = shown.text.slice(inText(part.source_start), inText(part.source_end)).replace(/\s+/g, " ");
    const body = { ...request(), texts: [source], options: { ...own, split_sentences: false }, alignment: true, alternatives: RUNNERS };
    const found = await api.generate(body, signal);
    if (signal.aborted) return;
    const mended = spliced(output, piece.part, found.answers[0].outputs[0]);
    shown = { ...shown, outputs: [mended], chosen: 0, warnings: found.answers[0].warnings };
    show();
    status("");
    $("output").querySelector(".word")?.focus();
  } catch (error) {
    if (!signal.aborted) failed(error);
  }
}

// An output with one of its parts replaced; the places of everything behind it move.
function spliced(output, number, fresh) {
  const characters = [...output.text], part = output.parts[number];
  const text = characters.slice(0, part.start).join("") + fresh.text + characters.slice(part.end).join("");
  const shift = [...fresh.text].length - (part.end - part.start);
  const moved = (place, by) => ({ ...place, start: place.start + by, end: place.end + by });
  const movedPart = (one, by) => ({ ...moved(one, by), pieces: one.pieces.map((piece) => moved(piece, by)) });
  const [own] = fresh.parts;
  const parts = output.parts.map((one, place) => {
    if (place < number) return one;
    if (place > number) return movedPart(one, shift);
    return { ...movedPart(own, part.start), source_start: part.source_start, source_end: part.source_end };
  });
  const alignment = [
    ...output.alignment.filter(({ target }) => target.end <= part.start),
    ...fresh.alignment.map(({ source, target }) => ({ source: moved(source, part.source_start), target: moved(target, part.start) })),
    ...output.alignment.filter(({ target }) => target.start >= part.end).map((pair) => ({ ...pair, target: moved(pair.target, shift) })),
  ];
  return { ...fresh, text, parts, alignment };
}

// ---------------------------------------------------------------- showing

function draft(text) {
  $("output").classList.add("draft");
  $("output").replaceChildren(text);
}

function show() {
  const output = shown.outputs[shown.chosen];
  shown.list = words(output);
  $("output").classList.remove("draft");
  showWords($("output"), output, shown.list);
  $("copy").disabled = $("save").disabled = false;
  $("again").hidden = !sampling();
  $("best").hidden = shown.outputs === shown.best;
  $("others").hidden = shown.outputs.length < 2;
  showOutputs($("outputs"), shown.outputs, shown.chosen, (number) => { shown.chosen = number; show(); });
  $("warnings").replaceChildren(...shown.warnings.map((warning) => element("li", { textContent: warning })));
  if ($("attention").open) look(0);
}

const status = (text) => { $("status").textContent = text; };

function say(text, { key = false, retry = false } = {}) {
  $("message").hidden = text === null;
  $("message-text").textContent = text ?? "";
  $("key-form").hidden = !key;
  $("retry").hidden = !retry;
}

function failed(error) {
  const own = error instanceof api.Failure;
  status("");
  $("output").classList.remove("draft");
  say(own ? error.message : `Something went wrong in the page: ${error.message}`, { key: error.status === 401, retry: ![401, 413, 422].includes(error.status) });
  if (error.status === 401) $("key").focus();
}

// ---------------------------------------------------------------- words

const wordAt = (node) => node?.closest?.(".word");
const wordOf = (node) => shown?.list?.[Number(node.dataset.number)];

function light(node) {
  for (const one of $("output").querySelectorAll(".lit")) one.classList.remove("lit");
  const word = node && wordOf(node);
  node?.classList.add("lit");
  if ($("source").value === shown?.text) markSource($("backdrop"), $("source"), word?.sources ?? []);
}

function openRunners(node) {
  const word = wordOf(node);
  if (!word?.pieces.length) return;
  light(node);
  showRunners($("runners"), word, node, goOn);
  $("runners").dataset.number = node.dataset.number;
}

function closeRunners(focus = false) {
  if ($("runners").hidden) return;
  $("runners").hidden = true;
  if (focus) $("output").querySelector(`[data-number="${$("runners").dataset.number}"]`)?.focus();
}

function walk(node, step) {
  const all = [...$("output").querySelectorAll(".word")];
  const next = all[Math.max(0, Math.min(all.length - 1, all.indexOf(node) + step))];
  node.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

// ---------------------------------------------------------------- attention

let looked = null, looking = new AbortController();

async function look(part) {
  looking.abort();
  looking = new AbortController();
  const { signal } = looking, output = shown?.outputs[shown.chosen];
  const own = output?.parts[part];
  if (!own) { $("attention-status").textContent = output ? "there is nothing to see for this text" : ""; return; }
  const at = offsets(output.text), inText = offsets(shown.text);
  const body = { ...request(), text: shown.text.slice(inText(own.source_start), inText(own.source_end)).replace(/\s+/g, " "), output: output.text.slice(at(own.start), at(own.end)).replace(/\s+/g, " ") };
  $("attention-status").textContent = output.parts.length > 1 ? `sentence ${part + 1} of ${output.parts.length}: point at another in the output` : "";
  try {
    looked = await api.attention(body, signal);
  } catch (error) {
    if (!signal.aborted) { $("map").replaceChildren(); $("attention-status").textContent = error.message; }
    return;
  }
  if (!looked.weights.length) { $("attention-status").textContent = "this model has no attention"; return; }
  const { layer, head } = { layer: $("layer").value || String(looked.weights.length - 1), head: $("head").value || "mean" };
  $("layer").replaceChildren(...looked.weights.map((_, place) => element("option", { value: String(place), textContent: String(place + 1) })));
  $("layer").value = layer;
  $("head").replaceChildren(element("option", { value: "mean", textContent: "mean of all" }),
    ...looked.weights[0].map((_, place) => element("option", { value: String(place), textContent: String(place + 1) })));
  $("head").value = head;
  showLooked();
}

const showLooked = () => { if (looked?.weights.length) showMap($("map"), looked, Number($("layer").value), $("head").value); };

function lookAtWord(node) {
  const part = wordOf(node)?.pieces[0]?.part;
  if ($("attention").open && part !== undefined && part !== Number($("map").dataset.part ?? 0)) {
    $("map").dataset.part = part;
    look(part);
  }
}

// ---------------------------------------------------------------- files

async function opened(one) {
  try {
    file = one.name;
    const lines = await linesOf(one);
    const text = lines.join("\n");
    if ([...text].length <= known.limits.characters) {
      $("source").value = text;
      changed();
      return;
    }
    await job(one.name, lines);
  } catch (error) {
    failed(error);
  }
}

async function job(name, lines) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  $("source").value = "";
  empty();
  $("job").hidden = false;
  $("job-text").textContent = `${name}: ${lines.length.toLocaleString("en")} lines`;
  $("job-progress").value = 0;
  try {
    const body = { ...request(), options: { ...options(), num_return_sequences: 1, num_beam_groups: undefined, diversity_penalty: undefined } };
    const outputs = await generateLines(lines, body, known.limits, (share) => { $("job-progress").value = share; }, signal);
    save(outputs.join("\n"), saved(name));
    $("job-text").textContent = `${name} is done and saved as ${saved(name)}`;
  } catch (error) {
    $("job").hidden = true;
    if (!signal.aborted) failed(error);
  }
}

const saved = (name) => (name ?? "output.txt").replace(/(\.[^.]*)?$/, (end) => `.${model().targets[0] ?? "out"}${end || ".txt"}`);

// ---------------------------------------------------------------- what the reader does

function listen() {
  $("source").addEventListener("input", changed);
  $("source").addEventListener("scroll", () => { $("backdrop").scrollTop = $("source").scrollTop; });
  $("model").addEventListener("change", () => { showLanguages(); changed(); });
  $("target-language").addEventListener("change", () => { $("output").lang = $("target-language").value; changed(); });
  $("swap").addEventListener("click", () => {
    const other = backwards(), text = shown?.outputs[shown.chosen].text;
    $("model").value = other.name;
    showLanguages();
    if (text) $("source").value = text;
    changed();
  });
  $("clear").addEventListener("click", () => { $("source").value = ""; changed(); $("source").focus(); });
  $("copy").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(shown.outputs[shown.chosen].text); status("copied"); } catch { status("the browser does not allow copying"); }
  });
  $("save").addEventListener("click", () => save(shown.outputs[shown.chosen].text, saved(file)));
  $("again").addEventListener("click", () => { seed += 1; run(); });
  $("best").addEventListener("click", () => { shown = { ...shown, outputs: shown.best, chosen: 0, warnings: [] }; show(); });
  $("retry").addEventListener("click", () => (known.models.length ? run() : begin()));
  $("key-form").addEventListener("submit", (event) => { event.preventDefault(); api.setKey($("key").value); $("key").value = ""; begin(); });
  $("open").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => { if ($("file").files[0]) opened($("file").files[0]); $("file").value = ""; });
  $("job-stop").addEventListener("click", () => { running.abort(); $("job").hidden = true; });
  $("attention").addEventListener("toggle", () => { if ($("attention").open && shown) look(0); });
  for (const id of ["layer", "head"]) $(id).addEventListener("change", showLooked);
  listenToWords();
  listenToOptions();
  listenToFiles();
}

function listenToWords() {
  const output = $("output");
  output.addEventListener("pointerover", (event) => { if (wordAt(event.target)) { light(wordAt(event.target)); lookAtWord(wordAt(event.target)); } });
  output.addEventListener("pointerleave", () => { if ($("runners").hidden) light(null); });
  output.addEventListener("focusin", (event) => { if (wordAt(event.target)) { light(wordAt(event.target)); lookAtWord(wordAt(event.target)); } });
  output.addEventListener("focusout", () => { if ($("runners").hidden) light(null); });
  output.addEventListener("click", (event) => { if (wordAt(event.target)) openRunners(wordAt(event.target)); });
  output.addEventListener("keydown", (event) => {
    const node = wordAt(event.target);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8, Home: -Infinity, End: Infinity }[event.key];
    if (!node || (step === undefined && !["Enter", " "].includes(event.key)) || event.ctrlKey) return;
    event.preventDefault();
    if (step === undefined) openRunners(node); else walk(node, step);
  });
  $("runners").addEventListener("keydown", (event) => {
    const all = [...$("runners").querySelectorAll("button")], step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || !all.length) return;
    event.preventDefault();
    all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
  });
  document.addEventListener("pointerdown", (event) => { if (!event.target.closest("#runners, .word")) closeRunners(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { if ($("runners").hidden) $("source").focus(); else closeRunners(true); }
    if (!event.ctrlKey && !event.metaKey) return;
    if (event.key === "Enter") { event.preventDefault(); run(); }
    if (event.key === "ArrowDown") { event.preventDefault(); output.querySelector(".word[tabindex='0']")?.focus(); }
  });
}

function listenToOptions() {
  const form = $("options-form");
  const fill = () => {
    for (const one of form.querySelectorAll("output")) one.textContent = $(one.htmlFor[0]).value;
    for (const one of form.querySelectorAll("[data-way]")) one.hidden = one.dataset.way !== (sampling() ? "sample" : "search");
  };
  form.addEventListener("input", () => { fill(); changed(); });
  form.addEventListener("reset", () => setTimeout(() => { fill(); changed(); }));
  form.addEventListener("submit", (event) => event.preventDefault());
  fill();
}

function listenToFiles() {
  const over = (event, on) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("dropping", on);
  };
  document.addEventListener("dragover", (event) => over(event, true));
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(event, false); });
  document.addEventListener("drop", (event) => { over(event, false); if (event.dataTransfer?.files[0]) opened(event.dataTransfer.files[0]); });
}

async function begin() {
  try {
    known = await api.models();
    say(null);
    $("beams").max = $("several").max = String(known.limits.beams);
    $("several").max = String(Math.min(10, known.limits.beams));
    showModels();
    changed();
  } catch (error) {
    failed(error);
  }
}

listen();
begin();
