// Finding elements again, acting on those that no mouse can reach, and bringing a page back.
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
  const element = last.elements.get(ref);
  return element && isConnected(element) && viewOf(ownerOf(element)) ? element : null;
};
const locate = (ref) => {
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

// Bringing a page back.
const store = (kind, entries) => {
  try {
    const target = kind === "local" ? localStorage : sessionStorage;
    target.clear();
    for (const [key, value] of entries) target.setItem(key, value);
  } catch {}
  return {};
};
// After an episode, on an empty page: nothing of it is left in the tab.
const wipe = () => {
  globalThis.name = "";
  const left = [];
  if (history.length !== 1) left.push(`${history.length} entries of history`);
  if (document.referrer) left.push("a referrer");
  if (globalThis.opener) left.push("an opener");
  return { left };
};
const put = (saved) => {
  const list = queryAll(document, FIELDS);
  let typed = null; // what belongs into the field with the focus, which is typed
  for (const [i, kind, value] of saved.fields) {
    const field = list[i];
    if (!field) continue;
    if (kind === "v" && i === saved.at && !SPECIAL.has(field.type) && field.type !== "range") typed = value;
    else if (kind === "v") field.value = value;
    else if (kind === "c") field.checked = value;
    else if (kind === "o") field.open = value;
    else Array.from(field.options).forEach((option, k) => (option.selected = value[k] === true));
  }
  return typed;
};
const scrollBack = ([x, y]) => globalThis.scrollTo({ left: x, top: y, behavior: "instant" });
const focus = (ref, caret, scroll) => {
  const element = ref ? find(ref) : null;
  if (element) element.focus({ preventScroll: true });
  else if (focused()) focused().blur();
  try {
    if (element && caret && caret[0] !== null) element.setSelectionRange(caret[0], caret[1]);
  } catch {}
  scrollBack(scroll);
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
