// Reads a page as text and finds its elements again. Runs in an isolated world: the page's scripts can neither see it
// nor change what it calls. Markup alone can still shadow properties of documents and forms (<input name="tagName">),
// so that everything that is asked of a node goes through the prototypes.
(() => {
  if (globalThis.thinkactReader) return;
  const get = (kind, name) => {
    const read = Object.getOwnPropertyDescriptor(kind.prototype, name).get;
    return (node) => read.call(node);
  };
  const call = (kind, name) => {
    const run = kind.prototype[name];
    return (node, ...rest) => run.apply(node, rest);
  };
  const nodeType = get(Node, "nodeType"), firstChild = get(Node, "firstChild"), nextSibling = get(Node, "nextSibling");
  const nodeValue = get(Node, "nodeValue"), parentNode = get(Node, "parentNode"), ownerOf = get(Node, "ownerDocument");
  const isConnected = get(Node, "isConnected"), contains = call(Node, "contains"), rootOf = call(Node, "getRootNode");
  const tagName = get(Element, "tagName"), attr = call(Element, "getAttribute"), has = call(Element, "hasAttribute");
  const shadowOf = get(Element, "shadowRoot"), rectOf = call(Element, "getBoundingClientRect");
  const rectsOf = call(Element, "getClientRects"), visible = call(Element, "checkVisibility");
  const matches = call(Element, "matches"), closest = call(Element, "closest"), query = call(Element, "querySelector");
  const scrollTo = call(Element, "scrollIntoView");
  const bodyOf = get(Document, "body"), rootElement = get(Document, "documentElement"), titleOf = get(Document, "title");
  const readyOf = get(Document, "readyState"), viewOf = get(Document, "defaultView");
  const focusIn = get(Document, "activeElement"), focusInShadow = get(ShadowRoot, "activeElement");
  const hitIn = call(Document, "elementFromPoint"), hitInShadow = call(ShadowRoot, "elementFromPoint");
  const byId = call(Document, "getElementById"), byIdInShadow = call(DocumentFragment, "getElementById");
  const queryAll = call(Document, "querySelectorAll");
  const framed = get(HTMLIFrameElement, "contentDocument");

  const SKIP = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "HEAD", "LINK", "META", "OBJECT", "EMBED", "DATALIST"]);
  const HEADING = /^H[1-6]$/;
  const SHAPES = new Set(["rect", "circle", "ellipse", "line", "polygon", "polyline", "path", "text"]);
  const INPUTS = { checkbox: "checkbox", radio: "radio", submit: "button", button: "button", reset: "button",
    image: "button", file: "button", color: "textbox", range: "slider", number: "spinbutton" };
  const TAGS = { BUTTON: "button", TEXTAREA: "textbox", SUMMARY: "button", OPTION: "option" };
  const CONTROLS = new Set(["link", "button", "textbox", "searchbox", "combobox", "listbox", "checkbox", "radio",
    "switch", "slider", "spinbutton", "option", "menuitem", "menuitemcheckbox", "menuitemradio", "tab", "treeitem"]);
  const NODES = 60000, CHARS = 400000, NAME = 300, OPTIONS = 40;

  const elements = new Map(); // ref -> WeakRef(element)
  const refs = new WeakMap(); // element -> ref
  let next = 1, given = []; // the next number; refs that a restored page gets, in reading order
  const refOf = (element) => {
    let ref = refs.get(element);
    if (!ref) {
      ref = given.length ? given.shift() : "e" + next++;
      refs.set(element, ref);
      elements.set(ref, new WeakRef(element));
    }
    return ref;
  };

  // Text of a page never looks like a control: [e12] is ours alone.
  const clean = (text, cap = NAME) => {
    const flat = text.replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ").trim().replace(/\[(e\d+)\]/g, "($1)");
    return flat.length > cap ? flat.slice(0, cap) + "…" : flat;
  };
  const quote = (text) => '"' + text.replace(/["\\]/g, "\\$&") + '"';
  const styleOf = (element) => viewOf(ownerOf(element)).getComputedStyle(element);
  const hidden = (element) => {
    if (attr(element, "aria-hidden") === "true") return true;
    return !visible(element) && styleOf(element).display !== "contents";
  };
  const seen = (element) => visible(element, { visibilityProperty: true });

  const typeOf = (element) => (tagName(element) === "INPUT" ? element.type : "");
  const editable = (element) => {
    const value = attr(element, "contenteditable");
    return value !== null && value !== "false";
  };
  const nativeRole = (element) => {
    const tag = tagName(element);
    if (tag === "A" || tag === "AREA") return has(element, "href") ? "link" : "";
    if (tag === "INPUT") return element.type === "hidden" ? "" : INPUTS[element.type] || (has(element, "list") ? "combobox" : "textbox");
    if (tag === "SELECT") return element.multiple || element.size > 1 ? "listbox" : "combobox";
    if (tag === "a") return "link"; // in SVG
    return TAGS[tag] || (editable(element) ? "textbox" : "");
  };
  const roleOf = (element) => {
    const said = (attr(element, "role") || "").trim().split(/\s+/)[0];
    return said && said !== "none" && said !== "presentation" && said !== "generic" ? said : nativeRole(element);
  };

  // Names: accessible name computation 1.2 (W3C), steps 2B-2I, without generated content.
  const children = function* (element) {
    const shadow = shadowOf(element);
    let child = firstChild(shadow || element);
    if (!shadow && tagName(element) === "SLOT") {
      const assigned = element.assignedNodes();
      if (assigned.length) return yield* assigned;
    }
    for (; child; child = nextSibling(child)) yield child;
  };
  const content = (node, depth = 0) => {
    if (nodeType(node) === 3) return nodeValue(node).slice(0, 2000);
    if (nodeType(node) !== 1 || depth > 30 || SKIP.has(tagName(node)) || hidden(node)) return "";
    if (depth) {
      const label = attr(node, "aria-label");
      if (label && label.trim()) return ` ${label} `;
      const tag = tagName(node);
      if (tag === "IMG") return attr(node, "alt") || "";
      if (tag === "BR") return " ";
      if (tag === "SELECT" || tag === "INPUT" || tag === "TEXTAREA") return "";
    }
    let text = "";
    for (const child of children(node)) {
      text += content(child, depth + 1);
      if (text.length > 4 * NAME) break;
    }
    return depth && styleOf(node).display.startsWith("inline") ? text : ` ${text} `;
  };
  const lookUp = (element, id) => {
    const root = rootOf(element);
    return nodeType(root) === 9 ? byId(root, id) : nodeType(root) === 11 ? byIdInShadow(root, id) : null;
  };
  const textOfHidden = (node) => (visible(node) ? content(node) : node.textContent || "");
  const nameOf = (element, role) => {
    const ids = attr(element, "aria-labelledby");
    if (ids) {
      const found = ids.trim().split(/\s+/).map((id) => lookUp(element, id)).filter(Boolean);
      const text = clean(found.map((other) => attr(other, "aria-label") || textOfHidden(other)).join(" "));
      if (text) return text;
    }
    const label = clean(attr(element, "aria-label") || "");
    if (label) return label;
    const tag = tagName(element), type = typeOf(element);
    if (["submit", "reset", "button"].includes(type)) {
      const value = clean(element.value);
      if (value || type !== "button") return value || (type === "submit" ? "Submit" : "Reset");
    }
    if (["IMG", "AREA"].includes(tag) || type === "image") {
      const alt = clean(attr(element, "alt") || "");
      if (alt) return alt;
    }
    if (["INPUT", "SELECT", "TEXTAREA", "BUTTON", "METER", "PROGRESS"].includes(tag) && element.labels) {
      const text = clean(Array.from(element.labels, (each) => content(each)).join(" "));
      if (text) return text;
    }
    const fills = role === "textbox" || role === "searchbox" || role === "combobox" || role === "listbox" || role === "spinbutton";
    if (!fills && role !== "slider") {
      const text = clean(content(element));
      if (text) return text;
      if (tagName(element) !== "SVG") {
        const title = query(element, "svg > title");
        if (title && clean(title.textContent)) return clean(title.textContent);
      }
    }
    return clean(attr(element, "title") || attr(element, "placeholder") || attr(element, "aria-placeholder") || attr(element, "name") || "");
  };

  const long = (text) => {
    const flat = text.replace(/\r?\n/g, "\\n").replace(/[\u0000-\u001f\u007f-\u009f]/g, " ").replace(/\[(e\d+)\]/g, "($1)");
    return quote(flat.length > 1000 ? flat.slice(0, 1000) + "…" : flat).replace(/\\\\n/g, "\\n");
  };
  const optionName = (option) => clean(option.label || option.text, 80);
  const stateOf = (element, role) => {
    const tag = tagName(element), type = typeOf(element);
    let text = "";
    const aria = (name) => attr(element, "aria-" + name);
    if (tag === "SELECT") {
      const options = Array.from(element.options);
      text += ` value=${quote(Array.from(element.selectedOptions, optionName).join(", "))} options: `;
      text += options.slice(0, OPTIONS).map((option) => optionName(option) + (option.disabled ? " (disabled)" : "")).join(", ");
      if (options.length > OPTIONS) text += `, … (${options.length - OPTIONS} more)`;
    } else if (type === "password") {
      if (element.value) text += ` value="${"•".repeat(Math.min(element.value.length, 40))}"`;
    } else if (type === "file") {
      text += " (files cannot be chosen)";
    } else if ((tag === "INPUT" && !["checkbox", "radio", "submit", "button", "reset", "image"].includes(type)) || tag === "TEXTAREA") {
      if (element.value) text += ` value=${long(element.value)}`;
      if (["date", "time", "datetime-local", "month", "week", "color"].includes(type)) text += ` type=${type}`;
      if (["range", "number"].includes(type) && (element.min || element.max)) text += ` range=${element.min}..${element.max}`;
      const hint = clean(attr(element, "placeholder") || "");
      if (hint && !element.value) text += ` placeholder=${quote(hint)}`;
    } else if (editable(element)) {
      const value = element.innerText;
      if (value) text += ` value=${long(value)}`;
    } else if (aria("valuenow")) text += ` value=${quote(clean(aria("valuetext") || aria("valuenow")))}`;
    const checks = type === "checkbox" || type === "radio";
    const checked = checks ? (element.indeterminate ? "mixed" : String(element.checked)) : aria("checked");
    if (checked === "true") text += " [checked]";
    if (checked === "mixed") text += " [mixed]";
    if (aria("selected") === "true") text += " [selected]";
    if (aria("pressed") === "true") text += " [pressed]";
    if (aria("current") && aria("current") !== "false") text += " [current]";
    const open = tag === "SUMMARY" && parentNode(element) && tagName(parentNode(element)) === "DETAILS" ? String(has(parentNode(element), "open")) : aria("expanded");
    if (open === "true") text += " [expanded]";
    if (open === "false") text += " [collapsed]";
    if (disabled(element)) text += " [disabled]";
    if (element.readOnly === true && ["textbox", "spinbutton"].includes(role)) text += " [readonly]";
    if (element.required === true || aria("required") === "true") text += " [required]";
    if (tag !== "FORM" && "validationMessage" in element && matches(element, ":user-invalid")) text += ` [invalid: ${clean(element.validationMessage)}]`;
    else if (aria("invalid") === "true") text += " [invalid]";
    return text;
  };
  const disabled = (element) => matches(element, ":disabled") || attr(element, "aria-disabled") === "true";

  const controlLine = (element, role, target = element) => {
    const name = nameOf(element, role);
    return `${role} [${refOf(target)}]${name ? " " + quote(name) : ""}${stateOf(element, role)}`;
  };

  // The walk.
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
    const descend = (element, mute, cursor) => {
      for (const child of children(element)) step(child, mute, cursor);
    };
    const step = (node, mute, cursor) => {
      if (cut) return;
      if (++nodes > NODES || chars > CHARS) {
        cut = true;
        return;
      }
      const kind = nodeType(node);
      if (kind === 3) {
        if (!mute) buffer += nodeValue(node).slice(0, 20000).replace(/\u0001/g, " ");
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
        descend(node, mute || !shown, style.cursor);
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
          if (nodeType(child) !== 3) step(child, mute, style.cursor);
          else for (const line of nodeValue(child).slice(0, 20000).split("\n")) {
            buffer += line;
            flush();
          }
        }
      } else descend(node, mute || !shown, style.cursor);
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
    return { fields: fields(), caret, scroll: [scrollX, scrollY], local: storage(() => localStorage), session: storage(() => sessionStorage) };
  };

  // Finding an element again.
  const place = (element) => {
    let x = 0, y = 0;
    for (let view = viewOf(ownerOf(element)); view && view !== window; view = view.parent) {
      const holder = view.frameElement;
      if (!holder) break;
      const box = rectOf(holder);
      x += box.x + holder.clientLeft;
      y += box.y + holder.clientTop;
    }
    return [x, y];
  };
  const deepest = (x, y) => {
    let element = hitIn(document, x, y);
    while (element) {
      let inner = null;
      const shadow = shadowOf(element);
      if (shadow) inner = hitInShadow(shadow, x, y);
      else if (tagName(element) === "IFRAME" && framed(element)) {
        const box = rectOf(element);
        x -= box.x + element.clientLeft;
        y -= box.y + element.clientTop;
        inner = hitIn(framed(element), x, y);
      }
      if (!inner || inner === element) return element;
      element = inner;
    }
    return element;
  };
  const within = (outer, node) => {
    for (let each = node; each; each = parentNode(each) || (nodeType(each) === 11 ? each.host : null)) if (each === outer) return true;
    return false;
  };
  const reaches = (element, hit) => {
    if (!hit) return false;
    if (within(element, hit)) return true;
    const label = closest(hit, "label");
    return Boolean(label && label.control === element);
  };
  const cover = (element, hit) => {
    let best = hit;
    for (let each = hit; each && nodeType(each) === 1 && !within(each, element); each = parentNode(each)) {
      best = each;
      if (tagName(each) === "DIALOG" || ["dialog", "alertdialog"].includes(roleOf(each))) break;
    }
    const role = roleOf(best) || (tagName(best) === "DIALOG" ? "dialog" : "something else");
    const text = clean(content(best), 60);
    return role + (text ? " " + quote(text) : "");
  };
  const find = (ref) => {
    const element = elements.get(ref)?.deref();
    return element && isConnected(element) && (ownerOf(element) === document || viewOf(ownerOf(element))) ? element : null;
  };
  const locate = (ref, still = false) => {
    const element = find(ref);
    if (!element) return { error: `there is no element ${ref} on this page now.` };
    const role = roleOf(element) || "element", at = nameOf(element, role);
    const who = `${ref} (${role}${at ? " " + quote(clean(at, 60)) : ""})`;
    if (!seen(element)) return { error: `${who} is hidden now.` };
    if (disabled(element)) return { error: `${who} is disabled.` };
    let hit = null;
    for (const scroll of [false, true]) {
      if (scroll) scrollTo(element, { block: "center", inline: "center", behavior: "instant" });
      const [dx, dy] = place(element);
      const boxes = Array.from(rectsOf(element)).filter((box) => box.width > 0 && box.height > 0).slice(0, 4);
      if (!boxes.length) continue;
      for (const box of boxes) {
        for (const [fx, fy] of [[0.5, 0.5], [0.5, 0.2], [0.2, 0.5], [0.8, 0.5], [0.5, 0.8]]) {
          const x = dx + box.x + box.width * fx, y = dy + box.y + box.height * fy;
          if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) continue;
          const found = deepest(x, y);
          if (reaches(element, found)) return { x, y, ...facts(element, role, who) };
          hit ||= found;
        }
      }
      if (!scroll) hit = null;
    }
    return { error: hit ? `${who} is covered by ${cover(element, hit)}.` : `${who} has no place in the window that can be clicked.` };
  };
  const facts = (element, role, who) => {
    const type = typeOf(element), tag = tagName(element);
    const checks = type === "checkbox" || type === "radio";
    const target = tag === "LABEL" && element.control ? element.control : element;
    return {
      who, role, type, tag,
      text: tag === "TEXTAREA" || editable(element) || (tag === "INPUT" && !INPUTS[type] && !SPECIAL.has(type)) || type === "number",
      special: SPECIAL.has(type) || type === "range",
      multiline: tag === "TEXTAREA" || editable(element),
      readonly: element.readOnly === true,
      checked: checks || target !== element ? target.checked === true : attr(element, "aria-checked") === "true" || attr(element, "aria-pressed") === "true",
      checkable: checks || target.type === "checkbox" || target.type === "radio" || ["checkbox", "radio", "switch", "menuitemcheckbox", "menuitemradio"].includes(role),
      radio: target.type === "radio" || role === "radio",
      focused: focused() === element,
    };
  };
  const SPECIAL = new Set(["date", "time", "datetime-local", "month", "week", "color"]);

  const told = (element) => {
    element.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
    element.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const set = (ref, value) => {
    const element = find(ref);
    if (!element) return { error: `there is no element ${ref} on this page now.` };
    const before = element.value;
    element.focus();
    element.value = value;
    if (element.value !== value && value !== "" && !(element.type === "color" && element.value === value.toLowerCase())) {
      const got = element.value;
      element.value = before;
      const shapes = { date: "2026-01-31", time: "13:45", "datetime-local": "2026-01-31T13:45", month: "2026-01", week: "2026-W05", color: "#ff8800" };
      return { error: shapes[element.type] ? `a field of type ${element.type} takes text like ${shapes[element.type]}.` : `the field takes ${quote(got)} at the nearest.` };
    }
    told(element);
    return {};
  };
  const select = (ref, wanted) => {
    const element = find(ref);
    if (!element) return { error: `there is no element ${ref} on this page now.` };
    if (tagName(element) !== "SELECT") return { error: `${ref} is no list of options; click it instead.` };
    const options = Array.from(element.options), fold = (text) => clean(text, 500).toLowerCase();
    const same = (test) => options.filter((option) => test(option));
    const found = [(option) => clean(option.label || option.text, 500) === wanted.trim(), (option) => fold(option.label || option.text) === fold(wanted), (option) => option.value === wanted].map(same).find((some) => some.length);
    const names = options.slice(0, OPTIONS).map(optionName).join(", ");
    if (!found) return { error: `there is no option ${quote(clean(wanted, 80))}. Options: ${names}.` };
    const option = found[0];
    if (option.disabled || (parentNode(option) && matches(parentNode(option), "optgroup:disabled"))) return { error: `the option ${quote(optionName(option))} is disabled.` };
    element.focus();
    if (element.multiple) option.selected = !option.selected;
    else if (option.selected) return {};
    else element.selectedIndex = options.indexOf(option);
    told(element);
    return {};
  };
  const scroll = (ref, direction) => {
    let target = document.scrollingElement;
    if (ref) {
      target = find(ref);
      if (!target) return { error: `there is no element ${ref} on this page now.` };
      const scrolls = (each) => each.scrollHeight > each.clientHeight + 1 || each.scrollWidth > each.clientWidth + 1;
      while (target && nodeType(target) === 1 && !scrolls(target)) target = parentNode(target);
      if (!target || nodeType(target) !== 1) target = document.scrollingElement;
    }
    const page = target === document.scrollingElement;
    const [w, h] = page ? [innerWidth, innerHeight] : [target.clientWidth, target.clientHeight];
    const by = { down: [0, 0.8 * h], up: [0, -0.8 * h], right: [0.8 * w, 0], left: [-0.8 * w, 0], top: [0, -1e9], bottom: [0, 1e9] }[direction];
    target.scrollBy({ left: by[0], top: by[1], behavior: "instant" });
    return {};
  };

  // Settling: loaded, no soft navigation under way, one frame drawn.
  const frameDrawn = () => new Promise((done) => {
    // A page that is not drawn gets no frames; it is not waited for.
    const late = setTimeout(done, 250);
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
  const settled = (limit) => new Promise((resolve) => {
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
      frameDrawn().then(() => {
        if (!over && quiet()) finish(true);
      });
    };
    const watcher = new MutationObserver(look), timer = setTimeout(() => finish(false), limit);
    // The attribute comes and goes on the root, which a page may replace.
    watcher.observe(document, { attributes: true, subtree: true, attributeFilter: ["data-pending"] });
    addEventListener("load", look);
    look();
  });

  const read = (options) => {
    next = Math.max(next, options.next);
    if (options.refs) given = options.refs;
    const lines = walk(bodyOf(document), options.all);
    const element = focused(), role = element && roleOf(element);
    const focus = element && refs.has(element) ? `${role || "element"} [${refs.get(element)}]` : "";
    return { lines, next, focus, url: location.href, title: clean(titleOf(document), 200), refs: [...elements.keys()].filter(find), state: state() };
  };
  const look = async (options) => ({ done: await settled(options.limit), page: read(options) });

  // Bringing a page back.
  const store = (kind, entries) => {
    try {
      const target = kind === "local" ? localStorage : sessionStorage;
      target.clear();
      for (const [key, value] of entries) target.setItem(key, value);
    } catch {}
    return {};
  };
  const put = (saved) => {
    const list = queryAll(document, FIELDS);
    for (const [i, kind, value] of saved.fields) {
      const field = list[i];
      if (!field) continue;
      if (kind === "v") field.value = value;
      else if (kind === "c") field.checked = value;
      else if (kind === "o") field.open = value;
      else Array.from(field.options).forEach((option, k) => (option.selected = value[k] === true));
    }
    scrollTo_(saved.scroll);
    return {};
  };
  const scrollTo_ = ([x, y]) => globalThis.scrollTo({ left: x, top: y, behavior: "instant" });
  const focus = (ref, caret, scroll) => {
    const element = ref ? find(ref) : null;
    if (element) element.focus({ preventScroll: true });
    else if (focused()) focused().blur();
    try {
      if (element && caret && caret[0] !== null) element.setSelectionRange(caret[0], caret[1]);
    } catch {}
    scrollTo_(scroll);
    return {};
  };
  const selectAll = (ref) => {
    const element = find(ref);
    if (!element) return {};
    element.focus();
    if (element.select) element.select();
    else viewOf(ownerOf(element)).getSelection().selectAllChildren(element);
    return { focused: focused() === element };
  };
  const shows = (text) => clean(bodyOf(document)?.innerText || "", 1e6).toLowerCase().includes(clean(text, 500).toLowerCase());
  const waitFor = (text, limit) => new Promise((resolve) => {
    const finish = (found) => {
      clearTimeout(timer);
      clearInterval(again);
      watcher.disconnect();
      resolve({ found });
    };
    const check = () => shows(text) && finish(true);
    const watcher = new MutationObserver(check), timer = setTimeout(() => finish(false), limit);
    const again = setInterval(check, 200); // what a stylesheet shows is no mutation
    watcher.observe(document, { childList: true, subtree: true, characterData: true, attributes: true });
    check();
  });

  globalThis.thinkactReader = { look, locate, set, select, scroll, put, store, focus, selectAll, waitFor };
})();
