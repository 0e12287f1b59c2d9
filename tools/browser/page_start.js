// Runs in a page before its own scripts: the clock stands still and chance is seeded. Timers run as ever.
((now, seed) => {
  if (now !== null) {
    const Real = Date;
    const Fixed = function (...parts) {
      if (!new.target) return new Real(now).toString();
      return Reflect.construct(Real, parts.length ? parts : [now], new.target === Fixed ? Fixed : new.target);
    };
    Object.defineProperty(Fixed, "name", { value: "Date", configurable: true });
    Object.defineProperty(Fixed, "length", { value: 7, configurable: true });
    Fixed.prototype = Real.prototype;
    Object.defineProperty(Real.prototype, "constructor", { value: Fixed, writable: true, configurable: true });
    for (const name of ["parse", "UTC"]) Object.defineProperty(Fixed, name, { value: Real[name], writable: true, configurable: true });
    Object.defineProperty(Fixed, "now", { value: { now: () => now }.now, writable: true, configurable: true });
    Object.defineProperty(globalThis, "Date", { value: Fixed, writable: true, configurable: true });
    // A formatter without a date means now.
    const format = Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, "format");
    Object.defineProperty(Intl.DateTimeFormat.prototype, "format", {
      configurable: true,
      get() {
        const real = format.get.call(this);
        return (date) => real(date === undefined ? now : date);
      },
    });
  }
  // mulberry32 (Tommy Ettinger, public domain).
  let state = seed >>> 0;
  Object.defineProperty(Math, "random", {
    writable: true,
    configurable: true,
    value: { random() {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    } }.random,
  });
})(NOW, SEED);
