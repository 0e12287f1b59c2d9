// Helpers over the DOM, roles, states and names. Markup alone can shadow properties of documents and forms
// (<input name="tagName">), so that everything that is asked of a node goes through the prototypes.
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
const NODES = 30000, CHARS = 300000, NAME = 300, OPTIONS = 40;

// References. A reading begins with those of the reading that was shown last, so that an element keeps its own while
// it is shown; what a reading that nobody saw gave out does not count.
let shown = { number: 0, refs: new Map(), elements: new Map() }, last = shown, fresh = shown;
let next = 1, given = []; // the next number; references that a restored page gets, in reading order
const begin = (options) => {
  if (options.shown === last.number) shown = last;
  if (options.refs) shown = { number: 0, refs: new Map(), elements: new Map() };
  next = options.next;
  given = [...(options.refs || [])];
  fresh = { number: options.number, refs: new Map(), elements: new Map() };
};
const refOf = (element) => {
  let ref = fresh.refs.get(element);
  if (!ref) {
    ref = shown.refs.get(element) || given.shift() || "e" + next++;
    fresh.refs.set(element, ref);
    fresh.elements.set(ref, element);
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
  const hint = attr(element, "title") || attr(element, "placeholder") || attr(element, "aria-placeholder");
  return clean(hint || (fills && attr(element, "name")) || "");
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
