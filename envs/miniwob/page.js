// Runs first in every MiniWoB page: time that stands still between calls, the seeded start of the episode, and names
// for what is clickable and has none.
(() => {
  'use strict';
  const settings = JSON.parse(document.currentScript.dataset.settings);
  const FRAME = 16;
  const MOST_CALLBACKS = 20000;

  // Time. Callbacks run when the environment advances the clock, in order of their due time and then of their making.
  let now = settings.epoch;
  let made = 0;
  let due = new Map();
  const later = (callback, delay, rest, every) => {
    const id = ++made;
    const wait = Math.max(Number(delay) || 0, every ? 1 : 0);
    due.set(id, { id, callback, rest, at: now + wait, every: every ? wait : 0 });
    return id;
  };
  const forget = (id) => { due.delete(Number(id)); };
  const nextDue = (end) => {
    let first = null;
    for (const each of due.values()) {
      if (each.at <= end && (first === null || each.at < first.at || (each.at === first.at && each.id < first.id))) {
        first = each;
      }
    }
    return first;
  };
  const advance = (milliseconds) => {
    const end = now + milliseconds;
    for (let run = 0; run < MOST_CALLBACKS; run++) {
      const each = nextDue(end);
      if (each === null) break;
      now = Math.max(now, each.at);
      if (each.every) each.at = now + each.every; else due.delete(each.id);
      try {
        if (typeof each.callback === 'function') each.callback(...each.rest); else (0, eval)(String(each.callback));
      } catch (error) {
        console.error(error);
      }
    }
    now = end;
  };
  window.setTimeout = (callback, delay, ...rest) => later(callback, delay, rest, false);
  window.setInterval = (callback, delay, ...rest) => later(callback, delay, rest, true);
  window.clearTimeout = window.clearInterval = window.cancelAnimationFrame = forget;
  window.requestAnimationFrame = (callback) =>
    later(() => callback(now - settings.epoch), FRAME - ((now - settings.epoch) % FRAME), [], false);
  performance.now = () => now - settings.epoch;
  const RealDate = Date;
  window.Date = new Proxy(RealDate, {
    construct: (target, given, maker) => Reflect.construct(target, given.length ? given : [now], maker),
    apply: () => new RealDate(now).toString(),
    get: (target, name, receiver) => (name === 'now' ? () => now : Reflect.get(target, name, receiver)),
  });

  // Who listens to clicks.
  const listening = new WeakSet();
  const CLICKS = new Set(['click', 'mousedown', 'mouseup', 'dblclick']);
  const listen = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (type, ...rest) {
    if (CLICKS.has(type) && this instanceof Element) listening.add(this);
    return listen.call(this, type, ...rest);
  };

  // Names. Upstream shows an agent tag, id, classes and colours of every element; here they name what has no text.
  const OWN = 'a[href],button,input,select,textarea,option,label,summary,[contenteditable=true]';
  const FRAMING = '#wrap,#area,#query,body,html,svg,#sync-task-cover,#reward-display,#reward-display *';
  const DRAWN = 'rect,circle,ellipse,polygon,polyline,line,path,text';
  const words = (text) => String(text || '').split(/\s+/).filter((each) => !/^ui-(corner|state|widget)/.test(each))
    .join(' ').replace(/[_-]+/g, ' ').trim();
  const set = (element, name, value) => {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  };
  const shown = (element) => element.checkVisibility({ visibilityProperty: true });
  const described = (element) => {
    const color = element.style.backgroundColor;
    const parts = [words(element.getAttribute('class')), words(element.id), color].filter(Boolean);
    return parts.join(' ') || element.tagName.toLowerCase();
  };
  const call = (element, role, name) => {
    if (role && !element.hasAttribute('role')) element.setAttribute('data-called', role);
    if (element.hasAttribute('data-called')) set(element, 'role', element.getAttribute('data-called'));
    if (name && !element.hasAttribute('aria-label')) element.setAttribute('data-named', '');
    if (name && element.hasAttribute('data-named')) set(element, 'aria-label', name);
  };
  const nameDrawings = () => {
    for (const drawing of document.querySelectorAll('svg')) {
      const parts = drawing.querySelectorAll(DRAWN);
      if (parts.length > 80) continue;  // a curve of many dots, nothing to click on
      for (const part of parts) {
        if (!shown(part)) continue;
        const box = part.getBoundingClientRect();
        if (!box.width && !box.height) continue;
        const [left, top, width, height] = [box.left, box.top, box.width, box.height].map(Math.round);
        const kind = part.tagName === 'text' ? `"${part.textContent.trim()}"` : part.tagName;
        const about = [kind, part.getAttribute('fill') || '', part.id, words(part.getAttribute('class'))];
        call(part, 'button', [...about, `at ${left},${top} size ${width}x${height}`].filter(Boolean).join(' '));
      }
    }
  };
  const nameClickables = () => {
    for (const element of document.querySelectorAll('body *')) {
      if (element.matches(FRAMING) || element.closest('svg') || !shown(element)) continue;
      const silent = !element.textContent.trim() && !element.title && !element.querySelector('img[alt]');
      if (element.matches('[role=button][aria-hidden=true]')) element.removeAttribute('aria-hidden');
      if (element.matches('textarea') && !element.labels.length) call(element, '', 'textarea');
      if (element.matches('button,a[href],[role=button],[tabindex]:not(input,select,textarea)')) {
        if (silent) call(element, element.matches('button,a[href]') ? '' : 'button', described(element));
        continue;
      }
      if (!listening.has(element) || element.matches(OWN)) continue;
      const inner = [...element.querySelectorAll('*')];
      if (!inner.some((each) => each.matches(OWN) || listening.has(each) || each.hasAttribute('tabindex'))) {
        call(element, 'button', silent ? described(element) : '');
      }
    }
  };
  const annotate = () => {
    // The goal is told beside the page; what words do not tell of it (an icon, a colour) stays on the page.
    const query = document.getElementById('query');
    const pictures = query ? [...query.querySelectorAll('*')].filter((each) => !each.textContent.trim()) : [];
    if (query && !pictures.length) set(query, 'aria-hidden', 'true');
    for (const picture of pictures) call(picture, 'img', described(picture));
    nameDrawings();
    nameClickables();
  };

  // Pictures. What is drawn has its size before anybody looks.
  const loaded = (address) => {
    const picture = new Image();
    picture.src = address;
    return picture.decode().catch(() => {});
  };
  const contents = () => {  // pictures that stand for an element's content and so give it its size
    const found = new Set();
    for (const sheet of document.styleSheets) {
      for (const rule of sheet.cssRules) {
        const content = rule.style ? rule.style.content : '';
        for (const [, address] of content.matchAll(/url\("([^"]+)"\)/g)) {
          found.add(new URL(address, sheet.href || location.href).href);
        }
      }
    }
    return [...found];
  };

  // The episode.
  let started = false;
  const start = async () => {
    if (started || document.readyState !== 'complete' || typeof core === 'undefined') return;
    started = true;
    await Promise.all(contents().map(loaded));
    Math.seedrandom(settings.seed);
    core.EPISODE_MAX_TIME = settings.longest;
    core.startEpisodeReal();
  };
  const state = () => {
    if (!started) return { ready: false, goal: '', done: false, reward: 0, reason: '' };
    const goal = WOB_DONE_GLOBAL ? '' : core.getUtterance();
    return {
      ready: Boolean(WOB_TASK_READY),
      goal: typeof goal === 'string' ? goal : String(goal.utterance),
      done: Boolean(WOB_DONE_GLOBAL),
      reward: Number(WOB_RAW_REWARD_GLOBAL),
      reason: String(WOB_REWARD_REASON || ''),
    };
  };
  Object.defineProperty(window, 'thinkactMiniwob', {
    value: async (milliseconds) => {
      await start();
      if (started && !WOB_DONE_GLOBAL) advance(milliseconds);
      annotate();
      await Promise.all([...document.images].map((picture) => picture.decode().catch(() => {})));
      return state();
    },
  });
  listen.call(window, 'load', () => {
    const hide = document.createElement('style');
    hide.textContent = '#reward-display,#sync-task-cover,#click-canvas{display:none!important}'
      + '*{transition:none!important;animation:none!important;caret-color:transparent!important}';
    document.head.append(hide);
  });
})();
