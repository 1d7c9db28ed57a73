"use strict";
// Fills the page from its own data: charts by Vega, everything else as text nodes, so that no text is read as markup.
(async () => {
  const byId = (id) => document.getElementById(id);
  const say = (node, text) => { node.textContent = text; };
  const make = (tag, text, parent, name) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (name) node.className = name;
    if (parent) parent.append(node);
    return node;
  };
  const short = (value, digits) => Number.isFinite(value) ? String(Number(value.toPrecision(digits || 3))) : "not known";
  const signed = (value) => value === null || !Number.isFinite(value) ? "not defined" : (value >= 0 ? "+" : "\u2212") + Math.abs(value).toFixed(2) + " nats";

  const unpacked = async (text) => {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  };
  const data = await unpacked(byId("data").textContent.trim());
  const state = { run: null, place: 0, over: data.runs.some((run) => run.r_per_m) ? "r" : "m" };
  const views = {};
  let started = false;

  const groups = [];
  for (const run of data.runs) {
    const name = [run.model, run.dataset].filter(Boolean).join(", ");
    run.group = name;
    if (!groups.includes(name)) groups.push(name);
  }
  const shownRuns = () => data.runs.filter((run) => run.group === byId("group").value);
  const label = (run) => run.cell + (data.seeds > 1 ? ", seed " + run.seed : "");

  const positions = (run) => {
    const written = new Set(run.written.flatMap((one) => one.texts.map(([m]) => m)));
    return (written.size ? [...written] : [...run.m]).sort((a, b) => a - b);
  };
  // On the measured curve, in a straight line between two points; nothing beyond them.
  const at = (run, name, m) => {
    const xs = run.m, ys = run[name];
    if (!xs.length || m < xs[0] || m > xs[xs.length - 1]) return null;
    const k = xs.findIndex((x) => x >= m);
    if (xs[k] === m) return ys[k];
    if (ys[k] === null || ys[k - 1] === null) return null;
    return ys[k - 1] + (ys[k] - ys[k - 1]) * (m - xs[k - 1]) / (xs[k] - xs[k - 1]);
  };
  const region = (run, name, m) => {
    const band = run.bands.find((one) => one.kind === name && one.from <= m && m <= one.to);
    return band ? band.region : "";
  };

  // Charts are drawn one after another; of several that wait for one place the last is drawn.
  const wanted = {};
  let drawing = Promise.resolve();
  const draw = (id, spec, datasets) => {
    const mine = wanted[id] = {};
    drawing = drawing.then(async () => {
      if (wanted[id] !== mine) return;
      if (views[id]) views[id].finalize();
      const found = await vegaEmbed(byId(id), { ...spec, datasets }, { actions: false, renderer: "svg", ast: true, tooltip: tip });
      views[id] = found.view;
    });
    return drawing;
  };
  // Tooltips as plain text.
  const tip = (handler, event, item, value) => {
    const node = byId("tip");
    if (!value || typeof value !== "object") { node.hidden = true; return; }
    say(node, Object.entries(value).map(([name, said]) => name + ": " + said).join("\n"));
    node.style.left = Math.min(event.clientX + 14, innerWidth - 240) + "px";
    node.style.top = event.clientY + 14 + "px";
    node.hidden = false;
  };

  const drawOverview = () => {
    const rows = [];
    for (const run of shownRuns()) {
      const scale = state.over === "r" ? run.r_per_m : 1;
      if (!run.m.length || !scale) continue;
      run.m.forEach((m, k) => rows.push({
        cell: run.cell, run: label(run), seed: run.seed, x: m * scale, preference: run.preference[k], utility: run.utility[k],
        chosen: run === state.run,
      }));
    }
    byId("overview").hidden = !rows.length;
    for (const part of data.charts.overview.hconcat) part.encoding.x.title = state.over === "r" ? "r = |m dh| / |h|" : "m";
    return rows.length ? draw("overview", data.charts.overview, { curves: rows }) : drawing;
  };
  const drawDetail = () => {
    const run = state.run, per = run.r_per_m;
    if (!run.m.length) return drawing;
    const datasets = {
      points: run.m.map((m, k) => ({ m, r: per ? m * per : null, preference: run.preference[k], utility: run.utility[k] })),
      fitted: run.fine.map((m, k) => ({ m, preference: run.fitted.preference[k], utility: run.fitted.utility[k] })),
      bands: run.bands,
      marks: run.strengths.filter((one) => one.m !== null).map((one, k) => ({ m: one.m, name: one.name, place: 4 + 14 * k })),
      now: now(),
    };
    const shown = (part) => ({ ...part, layer: part.layer.filter((layer) => datasets[layer.data.name].length) });
    return draw("detail", { ...data.charts.detail, hconcat: data.charts.detail.hconcat.map(shown) }, datasets).then(showNow);
  };
  const now = () => {
    const m = positions(state.run)[state.place];
    return [{ m, preference: at(state.run, "preference", m), utility: at(state.run, "utility", m) }];
  };

  const showNow = () => {
    if (views.detail && state.run.m.length) views.detail.data("now", now()).runAsync();
  };

  const fillTexts = () => {
    const run = state.run, box = byId("texts"), m = positions(run)[state.place];
    box.replaceChildren();
    if (!run.written.length) make("p", "No texts over m were written for this run.", box, "dim");
    for (const one of run.written) {
      const texts = new Map(one.texts);
      if (!texts.has(m)) continue;
      const row = make("div", undefined, box, "text");
      make("h4", (one.concept ? one.concept + ": " : "") + one.prompt, row);
      for (const [name, key] of [["unsteered, m = 0", 0], ["at m = " + short(m, 4), m]]) {
        const cell = make("div", undefined, row);
        make("small", name, cell);
        cell.append(texts.has(key) ? texts.get(key) || "(empty)" : "(not written)");
      }
    }
  };
  const fillReading = () => {
    const run = state.run, m = positions(run)[state.place], slider = byId("m");
    const pref = at(run, "preference", m), util = at(run, "utility", m), r = run.r_per_m ? m * run.r_per_m : null;
    const named = run.strengths.filter((one) => one.m === m).map((one) => one.name).join(", ");
    say(byId("now-m"), short(m, 4) + (named ? " (" + named + ")" : ""));
    say(byId("now-r"), r === null ? "not measured" : short(r));
    const between = run.m.length && !run.m.includes(m) && pref !== null ? ", read between two swept m" : "";
    say(byId("now-preference"), signed(pref));
    say(byId("now-utility"), signed(util) + between);
    say(byId("now-region"), region(run, "preference", m) || "not known");
    slider.value = state.place;
    slider.setAttribute("aria-valuetext", "m = " + short(m, 4) + (r === null ? "" : ", r = " + short(r)) + ", preference " + signed(pref) + ", utility " + signed(util));
  };
  const move = (place) => {
    state.place = Math.max(0, Math.min(positions(state.run).length - 1, place));
    fillReading();
    fillTexts();
    showNow();
  };
  const nearest = (run, m) => positions(run).reduce((best, x, k, all) => Math.abs(x - m) < Math.abs(all[best] - m) ? k : best, 0);

  const fillStrengths = () => {
    const run = state.run, body = byId("strengths"), jump = byId("jump");
    body.replaceChildren();
    jump.replaceChildren();
    for (const one of [{ name: "unsteered", m: 0, reason: "" }, ...run.strengths]) {
      if (one.m !== null) {
        const button = make("button", one.name, jump);
        button.type = "button";
        button.addEventListener("click", () => move(nearest(run, one.m)));
      }
      if (one.name === "unsteered") continue;
      const row = make("tr", undefined, body);
      make("th", one.name, row).scope = "row";
      make("td", one.m === null ? "none" : short(one.m, 4), row, "n");
      make("td", one.m === null || !run.r_per_m ? "" : short(one.m * run.r_per_m), row, "n");
      make("td", one.m === null ? "" : signed(at(run, "preference", one.m)), row, "n");
      make("td", one.m === null ? "" : signed(at(run, "utility", one.m)), row, "n");
      make("td", one.reason, row);
    }
    byId("strengths-table").hidden = !run.strengths.length;
  };
  const fillFits = () => {
    const run = state.run, body = byId("fits");
    body.replaceChildren();
    for (const one of run.fits) {
      const row = make("tr", undefined, body);
      make("th", one.kind, row).scope = "row";
      make("td", one.r2 === null ? one.problem || "no fit" : one.r2.toFixed(4), row, "n");
      for (const side of ["minus", "plus"]) {
        const found = one.sides[side];
        for (const key of ["linear_end", "convergence_start", "breakdown"]) make("td", !found || found[key] === null ? "" : short(found[key], 3), row, "n");
      }
    }
  };
  // A row for each judge and strength, a column for each score.
  const fillScores = () => {
    const rows = state.run.scores, head = byId("scores-head"), body = byId("scores");
    const names = [...new Set(rows.map((one) => one.score))], keys = new Map();
    for (const one of rows) {
      const key = JSON.stringify([one.judge, one.strength]);
      if (!keys.has(key)) keys.set(key, { ...one, means: {} });
      keys.get(key).means[one.score] = one.mean;
    }
    head.replaceChildren();
    body.replaceChildren();
    for (const [name, kind] of [["judge", ""], ["strength", ""], ["m", "n"], ["texts", "n"], ...names.map((name) => [name, "n"])]) {
      make("th", name, head, kind).scope = "col";
    }
    for (const one of keys.values()) {
      const row = make("tr", undefined, body);
      [one.judge, one.strength].forEach((text) => make("td", text, row));
      [short(one.m, 4), String(one.n)].forEach((text) => make("td", text, row, "n"));
      for (const name of names) make("td", name in one.means ? one.means[name].toFixed(3) : "", row, "n");
    }
    byId("scores-part").hidden = !rows.length;
  };

  const choose = async (id) => {
    state.run = data.runs.find((run) => run.id === id);
    const run = state.run, curved = run.m.length > 0, any = curved || run.written.length > 0;
    byId("curved").hidden = !curved;
    byId("slide").hidden = !any;
    byId("problem").hidden = !run.problem;
    say(byId("problem"), run.problem);
    say(byId("about"), curved ? run.pairs + " pairs" + (run.excluded ? ", of which utility leaves out " + run.excluded : "") + ", " + run.m.length + " m" : "");
    const slider = byId("m");
    slider.max = Math.max(0, positions(run).length - 1);
    const first = run.strengths.find((one) => one.name === "recommended" && one.m !== null) || run.strengths.find((one) => one.m !== null);
    fillStrengths();
    fillFits();
    fillScores();
    if (any) move(nearest(run, first ? first.m : 0));
    else say(byId("texts"), run.problem ? "" : "A baseline: nothing is steered.");
    if (started) {
      drawOverview();
      await drawDetail();
    }
  };
  const fillRuns = () => {
    const select = byId("run");
    select.replaceChildren();
    for (const run of shownRuns()) {
      const option = make("option", label(run) + (run.problem ? " (no curves)" : ""), select);
      option.value = run.id;
    }
    const known = shownRuns().find((run) => run.m.length) || shownRuns()[0];
    select.value = known.id;
    return choose(known.id);
  };

  if (!data.runs.length) {
    byId("interactive").hidden = true;
    document.body.dataset.drawn = "yes";
    return;
  }
  for (const name of groups) make("option", name || "all", byId("group")).value = name;
  byId("group-pick").hidden = groups.length < 2;
  byId("over-" + state.over).checked = true;
  byId("over").hidden = !data.runs.some((run) => run.r_per_m);
  byId("group").addEventListener("change", fillRuns);
  byId("run").addEventListener("change", (event) => choose(event.target.value));
  byId("m").addEventListener("input", (event) => move(Number(event.target.value)));
  for (const name of ["r", "m"]) byId("over-" + name).addEventListener("change", () => { state.over = name; drawOverview(); });
  await fillRuns();
  document.body.dataset.filled = "yes";

  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  started = true;
  drawOverview();
  await drawDetail();
  document.body.dataset.drawn = "yes";
})().catch((error) => {
  document.body.dataset.failed = String(error);
  const note = document.createElement("p");
  note.className = "note";
  note.textContent = "The interactive part of this page could not start (" + error + "); the tables below hold.";
  document.querySelector("main").prepend(note);
});
