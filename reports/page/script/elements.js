// Elements of the document. Text becomes text nodes, never markup.

const byId = (id) => document.getElementById(id);

// el('p', {class, title, onclick, …}, 'text', node, [nodes]): strings become text nodes.
function el(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : visible(String(value)));
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === "") continue;
    node.append(child instanceof Node ? child : visible(String(child)));
  }
}

// Text of any length: the first 10,000 characters, on demand up to 100,000, then a note.
function blob(value, name, place = "the trace or run.jsonl") {
  const text = string(value);
  const pre = el("pre", { tabindex: 0, role: "group", "aria-label": name }, text.slice(0, SHOWN));
  if (text.length <= SHOWN) return pre;
  const note = el("span", null, `${grouped(SHOWN)} of ${grouped(text.length)} characters shown. `);
  const box = el("div", { class: "blob" }, pre, el("p", { class: "cut" }, note));
  const more = el(
    "button",
    {
      type: "button",
      class: "plain",
      onclick: () => {
        pre.textContent = visible(text.slice(0, MOST));
        note.textContent =
          text.length > MOST
            ? `Cut at ${grouped(MOST)} of ${grouped(text.length)} characters; the rest is in ${place}.`
            : `All ${grouped(text.length)} characters.`;
        more.remove();
        pre.focus();
      },
    },
    "Show all",
  );
  box.lastChild.append(more);
  return box;
}

// Prose stays prose until it is long.
const prose = (value, name) => (string(value).length > SHOWN ? blob(value, name) : string(value));

function facts(...pairs) {
  const box = el("dl", { class: "facts" });
  for (const [term, value] of pairs) {
    if (value === "" || value === undefined || value === null) continue;
    box.append(el("div", null, el("dt", null, term), " ", el("dd", null, value)));
  }
  return box.childElementCount ? box : null;
}

const section = (title, note, ...content) =>
  el(
    "section",
    null,
    el("h3", null, title, note && [" ", el("span", { class: "quiet" }, note)]),
    content,
  );
