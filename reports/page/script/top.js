// The top of the page: facts of the run, banners, the tally.

function showTop() {
  const header = run.header || {};
  const footer = run.footer;
  const planned = number(footer ? footer.planned : header.planned);
  const accounted = footer
    ? number(footer.accounted)
    : [...run.cells.values()].reduce((sum, c) => sum + c.runs, 0);
  const fact = (name, value, title) =>
    value !== "" && el("span", { title }, name && name + " ", el("b", null, value));
  const box = byId("run-facts");
  box.replaceChildren();
  if (run.header || run.cells.size) {
    append(box, [
      fact(
        "",
        short(header.started_at, 40)
          .replace("T", " ")
          .replace(/(\.\d+)?Z$/, " UTC"),
      ),
      footer && fact("took", duration(footer.duration_us)),
      fact(
        "",
        `${grouped(planned)} planned ${planned === accounted ? "=" : "≠"} ${grouped(accounted)} accounted`,
        "Runs",
      ),
      fact("seed", short(header.seed, 40) || "0"),
      header.jobs && fact("jobs", grouped(header.jobs)),
      fact("load", grouped(header.load), "Busy processes beside the run"),
      fact("waits", short(header.wait_tier, 60), "Best tier the start-up self-test allows"),
      fact("", short(header.host, 80)),
      fact("version", short(header.counterpart_version, 60)),
      footer && fact("exit", string(number(footer.exit_code))),
      strings(header.command).length > 0 &&
        el(
          "details",
          null,
          el("summary", null, "command"),
          el("code", null, prose(strings(header.command).join(" "), "Command")),
        ),
    ]);
  }
  showBanners(planned, accounted);
  const red = [...run.cells.values()].filter((cell) => RED.has(cell.status)).length;
  document.title = run.cells.size
    ? `${red ? `✗ ${red} red` : "✓ no red"} · Counterpart`
    : "Counterpart";
  byId("source").textContent = source ? visible(`Showing ${short(source, 120)}`) : "";
}

function showBanners(planned, accounted) {
  const header = run.header || {};
  const footer = run.footer;
  const box = byId("banners");
  const banner = (kind, ...content) =>
    box.append(el("p", { class: `banner ${kind}`, role: "note" }, content));
  box.replaceChildren();
  if (problem) banner("bad", problem);
  if (source) {
    banner(
      "info",
      `Showing ${short(source, 120)}, read on this machine and sent nowhere.`,
      embedded &&
        el(
          "button",
          { type: "button", onclick: () => load(embedded, "") },
          "Back to the report of this page",
        ),
    );
  }
  if (!run.header && !run.cells.size) return;
  if (!footer) {
    banner(
      "bad",
      `Incomplete run: the file has no footer. ${grouped(accounted)} of ${grouped(planned)} planned runs are in it; cells without any are shown as not run.`,
    );
  } else {
    if (footer.interrupted)
      banner("", "Interrupted: the run was stopped before its plan was done.");
    if (planned !== accounted) {
      banner(
        "bad",
        `${grouped(planned)} runs were planned but ${grouped(accounted)} are accounted for: nothing can be concluded from this report.`,
      );
    }
  }
  if (header.wait_tier_reason)
    banner(
      "",
      `Waits are judged in tier ${short(header.wait_tier, 60)}: `,
      prose(header.wait_tier_reason, "Reason"),
    );
  if (footer && number(footer.diverged))
    banner(
      "",
      `${grouped(number(footer.diverged))} of ${plural(number(footer.driven_again), "run")} driven again with the same seed made another trace. `,
      "Search run.jsonl for ",
      el("code", null, "divergence"),
      ".",
    );
  const unseen = footer ? objects(footer.unseen_moments) : [];
  if (unseen.length)
    banner(
      "",
      el(
        "details",
        null,
        el("summary", null, `${plural(unseen.length, "moment")} of chance never met`),
        el(
          "ul",
          null,
          unseen
            .slice(0, 100)
            .map((one) =>
              el(
                "li",
                null,
                el("code", null, short(one.cell, 200)),
                `: ${short(one.moment, 200)} (${plural(number(one.runs), "run")})`,
              ),
            ),
        ),
      ),
    );
  if (number(run.embedding.unreadable_lines)) {
    banner(
      "",
      `${plural(number(run.embedding.unreadable_lines), "line")} of the file could not be read and ${number(run.embedding.unreadable_lines) === 1 ? "is" : "are"} left out.`,
    );
  }
}

// Chips count cells that the rest of the filter lets through, and toggle status: terms.
function showTally() {
  const box = byId("tally");
  box.replaceChildren();
  if (!run.cells.size || state.view !== "matrix") return;
  const filter = parseFilter(state.q);
  const chosen = (filter.terms.find((term) => term.key === "status" && !term.not) || { values: [] })
    .values;
  const counts = new Map();
  for (const cell of run.cells.values()) {
    if (cellMatches(filter, cell, "status"))
      counts.set(cell.status, (counts.get(cell.status) || 0) + 1);
  }
  for (const [key, { glyph, word }] of STATUS) {
    const count = counts.get(key) || 0;
    const on = chosen.some((value) => statusFits(value, key));
    box.append(
      el(
        "button",
        {
          type: "button",
          class: `chip${count ? "" : " zero"}`,
          "aria-pressed": String(on),
          "data-status": key,
          onclick: () => {
            const keys = [...STATUS.keys()].filter(
              (other) => chosen.some((value) => statusFits(value, other)) !== (other === key),
            );
            const rest = state.q
              .replace(/(^|\s)status:\S*/gi, " ")
              .replace(/\s+/g, " ")
              .trim();
            go({
              q: [rest, keys.length && `status:${keys.join(",")}`].filter(Boolean).join(" "),
            });
            const again = byId("tally").querySelector(`[data-status="${key}"]`);
            if (again) again.focus();
          },
        },
        el("span", { class: `mark ${key}`, "aria-hidden": "true" }, glyph),
        ` ${grouped(count)} ${word}`,
      ),
    );
  }
}
