// The page as lines of text, and what it holds beside its markup.
const walk = (root, all) => {
  const lines = [];
  let buffer = "", prefix = "", cells = null, nodes = 0, chars = 0, cut = false;
  const push = (line) => {
    chars += line.length + 1;
    lines.push(line);
  };
  const flush = () => {
    if (cells) {
      buffer += " ";
      return;
    }
    const text = clean(buffer, 4000);
    buffer = "";
    if (text) push(prefix + text.replace(/^- /, "– "));
  };
  const control = (line) => {
    // A control is not cleaned again: its brackets are ours.
    if (cells) {
      cells.push([cells.current, line]);
      cells.marks++;
      buffer += `\u0001${cells.length - 1}\u0001`;
      return;
    }
    flush();
    push("- " + line);
  };
  const row = (element) => {
    flush();
    cells = [];
    cells.marks = 0;
    const parts = [];
    for (const child of children(element)) {
      if (nodeType(child) !== 1 || SKIP.has(tagName(child)) || hidden(child)) continue;
      buffer = "";
      step(child, false, "");
      const pieces = buffer.split("\u0001");
      parts.push(pieces.map((piece, i) => (i % 2 ? cells[Number(piece)][1] : clean(piece, 4000))).filter(Boolean).join(" "));
    }
    cells = null;
    buffer = "";
    if (parts.some(Boolean)) push(parts.join(" | ").trimEnd());
  };
  const descend = (element, mute, cursor, dark = false) => {
    // Of what a closed disclosure holds, text has no box of its own that could be asked.
    const closed = tagName(element) === "DETAILS" && !has(element, "open");
    for (const child of children(element)) if (!closed || nodeType(child) === 1) step(child, mute, cursor, dark);
  };
  const step = (node, mute, cursor, dark = false) => {
    if (cut) return;
    if (++nodes > NODES || chars > CHARS) {
      cut = true;
      return;
    }
    const kind = nodeType(node);
    if (kind === 3) {
      if (!mute && !dark) buffer += nodeValue(node).slice(0, 20000).replace(/\u0001/g, " ");
      return;
    }
    if (kind !== 1) return;
    const tag = tagName(node);
    if (SKIP.has(tag) || hidden(node)) return;
    const style = styleOf(node), display = style.display;
    const shown = seen(node) || display === "contents";
    const inline = display.startsWith("inline") || display === "contents" || display.startsWith("ruby");
    if (tag === "BR") return flush();
    if (tag === "IFRAME") return frame(node);
    if (tag === "LABEL" && node.control && shown) {
      const field = node.control, role = roleOf(field);
      if (!seen(field) && ["checkbox", "radio", "switch"].includes(role)) return control(controlLine(field, role, node));
      return descend(node, seen(field), style.cursor);
    }
    const role = roleOf(node);
    if (shown && CONTROLS.has(role) && !(role === "option" && closest(node, "select"))) {
      control(controlLine(node, role));
      if (tag === "SUMMARY" || role === "tab" || role === "button" || role === "link") return;
      if (["treeitem", "listbox", "combobox"].includes(role) && tag !== "SELECT" && tag !== "INPUT") descend(node, role !== "listbox", style.cursor);
      return;
    }
    if (tag === "IMG" || role === "img") {
      const pointer = shown && (style.cursor === "pointer" && cursor !== "pointer" || has(node, "onclick") || all);
      const name = nameOf(node, "img");
      if (pointer) return control(controlLine(node, "img"));
      if (name && shown && !mute) control(`img ${quote(name)}`);
      if (tag === "IMG") return;
      return;
    }
    if (tag === "PROGRESS" || tag === "METER") return control(`${tag === "METER" ? "meter" : "progressbar"} ${quote(nameOf(node, "meter"))} value=${node.value}/${node.max}`);
    if (tag === "CANVAS") return shown ? control(shape(node, "canvas")) : undefined;
    if (all && shown && SHAPES.has(tag)) return control(shape(node, tag));
    const clickable = shown && tag !== "BODY" && tag !== "HTML" && tag !== "LABEL" &&
      ((style.cursor === "pointer" && cursor !== "pointer") || has(node, "onclick") || (has(node, "tabindex") && attr(node, "tabindex") !== "-1") || attr(node, "draggable") === "true");
    const holds = all && shown && textual(node);
    if (clickable || holds) {
      const inner = query(node, "a[href],button,input,select,textarea,[role=button],[role=link],[onclick],[tabindex]");
      if (!inner) {
        // Without a name it is still a place to click: an icon that CSS draws.
        const name = clean(content(node)) || clean(attr(node, "aria-label") || attr(node, "title") || attr(node, "class") || "");
        return control(`${clickable ? "clickable" : "text"} [${refOf(node)}]${name ? " " + quote(name) : ""}${stateOf(node, "")}`);
      }
      control(`clickable [${refOf(node)}]`);
    }
    if ((display === "table-row" || role === "row") && !cells && !query(node, "table")) return row(node);
    if (inline) {
      const apart = display !== "inline" && display !== "contents";
      if (apart) buffer += " ";
      descend(node, mute, style.cursor, !shown);
      if (apart) buffer += " ";
      return;
    }
    flush();
    const before = prefix;
    if (HEADING.test(tag)) prefix = "#".repeat(Number(tag[1])) + " ";
    else if (role === "heading") prefix = "#".repeat(Math.min(6, Number(attr(node, "aria-level")) || 2)) + " ";
    if (role === "dialog" || role === "alertdialog" || tag === "DIALOG") {
      const said = attr(node, "aria-labelledby") || attr(node, "aria-label") ? nameOf(node, "textbox") : "";
      control(`dialog${said ? " " + quote(said) : ""}`);
    }
    if (style.whiteSpace.startsWith("pre") && !cells) {
      for (const child of children(node)) {
        if (nodeType(child) !== 3 || !shown) step(child, mute, style.cursor, !shown);
        else for (const line of nodeValue(child).slice(0, 20000).split("\n")) {
          buffer += line;
          flush();
        }
      }
    } else descend(node, mute, style.cursor, !shown);
    flush();
    prefix = before;
  };
  const textual = (node) => {
    let text = false;
    for (const child of children(node)) {
      if (nodeType(child) === 1) return false;
      text ||= nodeType(child) === 3 && nodeValue(child).trim() !== "";
    }
    return text || nodeType(node) === 1 && !firstChild(node) && !shadowOf(node) && rectOf(node).width > 0 && rectOf(node).height > 0;
  };
  const shape = (node, kind) => {
    const box = rectOf(node), name = clean(attr(node, "aria-label") || node.textContent || "");
    const fill = kind === "canvas" ? "" : ` fill=${quote(clean(attr(node, "fill") || styleOf(node).fill))}`;
    return `${kind} [${refOf(node)}]${name ? " " + quote(name) : ""} at ${Math.round(box.x)},${Math.round(box.y)} size ${Math.round(box.width)}x${Math.round(box.height)}${fill}`;
  };
  const frame = (node) => {
    const inside = framed(node), name = clean(attr(node, "title") || attr(node, "name") || "");
    if (!inside || !bodyOf(inside)) return control(`iframe${name ? " " + quote(name) : ""} (of another site: not readable)`);
    control(`iframe${name ? " " + quote(name) : ""}`);
    const outer = cells;
    if (!outer) descend(bodyOf(inside), false, "");
  };
  if (root) step(root, false, "");
  flush();
  if (cut) push("(The page goes on; this is all that can be shown.)");
  return lines;
};

// Focus, fields and scrolling: what a page holds beside its markup.
const focused = () => {
  let element = focusIn(document);
  for (;;) {
    const inner = element && (tagName(element) === "IFRAME" ? framed(element) && focusIn(framed(element)) : shadowOf(element) && focusInShadow(shadowOf(element)));
    if (!inner) return element && element !== bodyOf(ownerOf(element)) && element !== rootElement(ownerOf(element)) ? element : null;
    element = inner;
  }
};
const FIELDS = "input,textarea,select,details";
const fields = () => {
  const changed = [];
  queryAll(document, FIELDS).forEach((field, i) => {
    const tag = tagName(field);
    if (tag === "DETAILS") changed.push([i, "o", field.open]);
    else if (tag === "SELECT") {
      const chosen = Array.from(field.options, (option) => option.selected);
      const initial = Array.from(field.options, (option) => option.defaultSelected);
      if (chosen.some((is, k) => is !== initial[k])) changed.push([i, "s", chosen]);
    } else if (field.type === "checkbox" || field.type === "radio") {
      if (field.checked !== field.defaultChecked) changed.push([i, "c", field.checked]);
    } else if (field.type !== "file" && field.value !== field.defaultValue) changed.push([i, "v", field.value]);
  });
  return changed;
};
const storage = (store) => {
  try {
    return Object.entries(store());
  } catch {
    return [];
  }
};
const state = () => {
  const element = focused();
  let caret = null;
  try {
    caret = element && element.selectionStart !== undefined ? [element.selectionStart, element.selectionEnd] : null;
  } catch {}
  const at = element ? Array.prototype.indexOf.call(queryAll(document, FIELDS), element) : -1;
  return { fields: fields(), at, caret, scroll: [scrollX, scrollY], local: storage(() => localStorage), session: storage(() => sessionStorage) };
};

// Settling: loaded, no soft navigation under way, one frame drawn.
const frameDrawn = (limit = 250) => new Promise((done) => {
  // A page that is not drawn gets no frames; it is not waited for.
  const late = limit && setTimeout(done, limit);
  requestAnimationFrame(() => {
    clearTimeout(late);
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      done();
    };
    channel.port2.postMessage(0);
  });
});
const pending = () => Number(attr(rootElement(document) || document.createElement("p"), "data-pending")) || 0;
const quiet = () => readyOf(document) === "complete" && pending() === 0;
// Until the page is quiet, and stays so once `after` is over; false when that takes too long.
const quieten = (limit, after) => new Promise((resolve) => {
  let over = false;
  const finish = (done) => {
    over = true;
    clearTimeout(timer);
    watcher.disconnect();
    removeEventListener("load", look);
    resolve(done);
  };
  const look = () => {
    if (over || !quiet()) return;
    const wait = after();
    if (!wait) finish(true);
    else wait.then(() => {
      if (!over && quiet()) finish(true);
    });
  };
  const watcher = new MutationObserver(look), timer = setTimeout(() => finish(false), limit);
  // The attribute comes and goes on the root, which a page may replace.
  watcher.observe(document, { attributes: true, subtree: true, attributeFilter: ["data-pending"] });
  addEventListener("load", look);
  look();
});
const settled = (limit) => quieten(limit, () => frameDrawn());
// The same where frames come when they are asked for: first `quieted`, then the frame, then `lookDrawn`.
let drawn = null;
const quieted = (limit) => quieten(limit, () => {
  drawn = frameDrawn(0);
});

const read = (options) => {
  begin(options);
  const lines = walk(bodyOf(document), options.all);
  last = fresh;
  const element = focused(), ref = element && last.refs.get(element);
  const focus = ref ? `${roleOf(element) || "element"} [${ref}]` : "";
  const refs = [...last.elements.keys()];
  return { lines, next, focus, refs, url: location.href, title: clean(titleOf(document), 200), state: state() };
};
const look = async (options) => ({ done: await settled(options.limit), page: read(options) });
const lookDrawn = async (options) => {
  const asked = drawn;
  drawn = null;
  await asked;
  return { done: asked !== null && quiet(), page: read(options) };
};
// Of a page whose scripts are off: no timer would ever come.
const glance = (options) => ({ done: true, page: read(options) });
