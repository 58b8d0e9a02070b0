// The kernels of kernels.js in WebAssembly SIMD, written in AssemblyScript. Addresses are in bytes; 4 bytes a number.
// A vector is four images, since images are innermost. Sums over many terms are kept in several vectors: they are more
// exact than one sum, and do not wait for each other.

const F: usize = 4; // bytes of a number

// @ts-ignore: a decorator of AssemblyScript
@inline function v(p: usize): v128 { return v128.load(p); }
// @ts-ignore
@inline function madd(sum: v128, a: v128, b: v128): v128 { return f32x4.add(sum, f32x4.mul(a, b)); }
// @ts-ignore
@inline function total(a: v128): f32 {
  return (f32x4.extract_lane(a, 0) + f32x4.extract_lane(a, 1)) + (f32x4.extract_lane(a, 2) + f32x4.extract_lane(a, 3));
}
// @ts-ignore
@inline function number(p: usize): f32 { return load<f32>(p); }

// Convolution

/** As convolve in kernels.js. `table` has room for 2 · 9 · cIn addresses. */
export function convolve(
  y: usize, x: usize, w: usize, cIn: usize, cOut: usize, height: usize, width: usize, batch: usize, table: usize,
): void {
  const line = width * batch * F, plane = height * line;
  for (let row: usize = 0; row < height; row++)
    for (let column: usize = 0; column < width; column++) {
      const end = list(table, x, cIn, plane, line, batch * F, row, column, height, width);
      const at = y + row * line + column * batch * F;
      let n: usize = 0;
      for (; n + 8 <= batch; n += 8) sums8(at + n * F, n * F, table, end, w, cIn, cOut, plane);
      for (; n + 4 <= batch; n += 4) sums4(at + n * F, n * F, table, end, w, cIn, cOut, plane);
      for (; n < batch; n++) sums1(at + n * F, n * F, table, end, w, cIn, cOut, plane);
    }
}

/** What a pixel's sum is over: pairs of an address in x, and how far into a row of weights. Returns where they end. */
function list(
  table: usize, x: usize, cIn: usize, plane: usize, line: usize, pixel: usize, row: usize, column: usize,
  height: usize, width: usize,
): usize {
  const i0: usize = row == 0 ? 1 : 0, i1: usize = row + 1 == height ? 2 : 3;
  const j0: usize = column == 0 ? 1 : 0, j1: usize = column + 1 == width ? 2 : 3;
  for (let c: usize = 0; c < cIn; c++)
    for (let i = i0; i < i1; i++)
      for (let j = j0; j < j1; j++, table += 8) {
        store<usize>(table, x + c * plane + (row + i - 1) * line + (column + j - 1) * pixel);
        store<usize>(table, (9 * c + 3 * i + j) * F, 4);
      }
  return table;
}

/** Eight images: four output channels at a time, the rest one by one. */
function sums8(
  y: usize, n: usize, table: usize, end: usize, w: usize, cIn: usize, cOut: usize, plane: usize,
): void {
  const row = cIn * 9 * F;
  let o: usize = 0;
  for (; o + 4 <= cOut; o += 4, y += 4 * plane, w += 4 * row) {
    let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
    for (let k = table; k < end; k += 8) {
      const p = load<usize>(k) + n, q = w + load<usize>(k, 4);
      const x0 = v128.load(p), x1 = v128.load(p, 16);
      const a = v128.load32_splat(q), b = v128.load32_splat(q + row);
      a0 = madd(a0, a, x0); a1 = madd(a1, a, x1);
      b0 = madd(b0, b, x0); b1 = madd(b1, b, x1);
      const c = v128.load32_splat(q + 2 * row), d = v128.load32_splat(q + 3 * row);
      c0 = madd(c0, c, x0); c1 = madd(c1, c, x1);
      d0 = madd(d0, d, x0); d1 = madd(d1, d, x1);
    }
    v128.store(y, a0); v128.store(y, a1, 16);
    v128.store(y + plane, b0); v128.store(y + plane, b1, 16);
    v128.store(y + 2 * plane, c0); v128.store(y + 2 * plane, c1, 16);
    v128.store(y + 3 * plane, d0); v128.store(y + 3 * plane, d1, 16);
  }
  for (; o < cOut; o++, y += plane, w += row) {
    let a0 = f32x4.splat(0), a1 = a0;
    for (let k = table; k < end; k += 8) {
      const p = load<usize>(k) + n, a = v128.load32_splat(w + load<usize>(k, 4));
      a0 = madd(a0, a, v128.load(p)); a1 = madd(a1, a, v128.load(p, 16));
    }
    v128.store(y, a0); v128.store(y, a1, 16);
  }
}

function sums4(
  y: usize, n: usize, table: usize, end: usize, w: usize, cIn: usize, cOut: usize, plane: usize,
): void {
  for (let o: usize = 0; o < cOut; o++, y += plane, w += cIn * 9 * F) {
    let a = f32x4.splat(0);
    for (let k = table; k < end; k += 8) a = madd(a, v128.load32_splat(w + load<usize>(k, 4)), v(load<usize>(k) + n));
    v128.store(y, a);
  }
}

function sums1(
  y: usize, n: usize, table: usize, end: usize, w: usize, cIn: usize, cOut: usize, plane: usize,
): void {
  for (let o: usize = 0; o < cOut; o++, y += plane, w += cIn * 9 * F) {
    let a: f32 = 0;
    for (let k = table; k < end; k += 8) a += number(w + load<usize>(k, 4)) * number(load<usize>(k) + n);
    store<f32>(y, a);
  }
}

/** turned [cIn, cOut, 3, 3] from w [cOut, cIn, 3, 3]: the weights turned round, for the gradient of the input. */
export function turn(turned: usize, w: usize, cIn: usize, cOut: usize): void {
  for (let o: usize = 0; o < cOut; o++)
    for (let c: usize = 0; c < cIn; c++)
      for (let k: usize = 0; k < 9; k++, w += F) store<f32>(turned + (9 * (c * cOut + o) + 8 - k) * F, number(w));
}

/** As convolveWeights in kernels.js. `sums` has room for a vector for each weight: rows of the image add to it, so that
 *  those of x and dy that are at work stay in the fastest cache. */
export function convolveWeights(
  dw: usize, dy: usize, x: usize, cIn: usize, cOut: usize, height: usize, width: usize, batch: usize, sums: usize,
): void {
  const line = width * batch * F, plane = height * line, rest = cIn * cOut * 9 * F;
  memory.fill(sums, 0, 4 * rest);
  for (let row: usize = 0; row < height; row++)
    for (let i: usize = row == 0 ? 1 : 0; i < 3 && row + i <= height; i++)
      for (let j: usize = 0; j < 3; j++) {
        const first: usize = j == 0 ? 1 : 0, last = j == 2 ? width - 1 : width;
        const p = dy + row * line + first * batch * F, q = x + (row + i - 1) * line + (first + j - 1) * batch * F;
        if (last > first) products(sums + (3 * i + j) * 16, p, q, (last - first) * batch, cIn, cOut, plane);
      }
  for (let k: usize = 0; k < rest; k += F) store<f32>(dw + k, total(v(sums + 4 * k)));
}

/** Add dy[o] · x[c] over `length` numbers from p and q on, for all o and c. */
function products(sums: usize, p: usize, q: usize, length: usize, cIn: usize, cOut: usize, plane: usize): void {
  const row = cIn * 9 * 16; // from the sums of o to those of o + 1
  let o: usize = 0;
  for (; o + 4 <= cOut; o += 4, p += 4 * plane, sums += 4 * row) {
    let c: usize = 0;
    for (; c + 2 <= cIn; c += 2) block(sums + 9 * 16 * c, p, q + c * plane, length, row, plane);
    for (; c < cIn; c++)
      for (let k: usize = 0; k < 4; k++) one(sums + 9 * 16 * c + k * row, p + k * plane, q + c * plane, length);
  }
  for (; o < cOut; o++, p += plane, sums += row)
    for (let c: usize = 0; c < cIn; c++) one(sums + 9 * 16 * c, p, q + c * plane, length);
}

/** Four o and two c. */
function block(s: usize, p: usize, q: usize, length: usize, row: usize, plane: usize): void {
  const t = s + 9 * 16;
  let a0 = v(s), b0 = v(s + row), c0 = v(s + 2 * row), d0 = v(s + 3 * row);
  let a1 = v(t), b1 = v(t + row), c1 = v(t + 2 * row), d1 = v(t + 3 * row);
  const whole = p + (length & ~3) * F, end = p + length * F;
  for (; p < whole; p += 16, q += 16) {
    const x0 = v(q), x1 = v(q + plane);
    const a = v(p), b = v(p + plane);
    a0 = madd(a0, a, x0); a1 = madd(a1, a, x1);
    b0 = madd(b0, b, x0); b1 = madd(b1, b, x1);
    const c = v(p + 2 * plane), d = v(p + 3 * plane);
    c0 = madd(c0, c, x0); c1 = madd(c1, c, x1);
    d0 = madd(d0, d, x0); d1 = madd(d1, d, x1);
  }
  for (; p < end; p += F, q += F) {
    const x0 = v128.load32_zero(q), x1 = v128.load32_zero(q + plane);
    const a = v128.load32_zero(p), b = v128.load32_zero(p + plane);
    a0 = madd(a0, a, x0); a1 = madd(a1, a, x1);
    b0 = madd(b0, b, x0); b1 = madd(b1, b, x1);
    const c = v128.load32_zero(p + 2 * plane), d = v128.load32_zero(p + 3 * plane);
    c0 = madd(c0, c, x0); c1 = madd(c1, c, x1);
    d0 = madd(d0, d, x0); d1 = madd(d1, d, x1);
  }
  v128.store(s, a0); v128.store(s + row, b0); v128.store(s + 2 * row, c0); v128.store(s + 3 * row, d0);
  v128.store(t, a1); v128.store(t + row, b1); v128.store(t + 2 * row, c1); v128.store(t + 3 * row, d1);
}

function one(s: usize, p: usize, q: usize, length: usize): void {
  let a = v(s);
  const whole = p + (length & ~3) * F, end = p + length * F;
  for (; p < whole; p += 16, q += 16) a = madd(a, v(p), v(q));
  for (; p < end; p += F, q += F) a = madd(a, v128.load32_zero(p), v128.load32_zero(q));
  v128.store(s, a);
}

// Batch norm

export function moments(mean: usize, variance: usize, x: usize, channels: usize, size: usize): void {
  for (let c: usize = 0; c < channels; c++, x += size * F, mean += F, variance += F) {
    const m = sum(x, size) / f32(size);
    store<f32>(mean, m);
    store<f32>(variance, squares(x, size, m) / f32(size));
  }
}

function sum(p: usize, length: usize): f32 {
  let a = f32x4.splat(0), b = a, c = a, d = a;
  const most = p + (length & ~15) * F, end = p + length * F;
  for (; p < most; p += 64) {
    a = f32x4.add(a, v128.load(p)); b = f32x4.add(b, v128.load(p, 16));
    c = f32x4.add(c, v128.load(p, 32)); d = f32x4.add(d, v128.load(p, 48));
  }
  for (; p < end; p += F) a = f32x4.add(a, v128.load32_zero(p));
  return total(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
}

/** Σ (x − m)². */
function squares(p: usize, length: usize, m: f32): f32 {
  const mean = f32x4.splat(m);
  let a = f32x4.splat(0), b = a, last: f32 = 0;
  const most = p + (length & ~7) * F, end = p + length * F;
  for (; p < most; p += 32) {
    const x = f32x4.sub(v128.load(p), mean), z = f32x4.sub(v128.load(p, 16), mean);
    a = madd(a, x, x); b = madd(b, z, z);
  }
  for (; p < end; p += F) last += (number(p) - m) * (number(p) - m);
  return total(f32x4.add(a, b)) + last;
}

export function affine(y: usize, x: usize, slope: usize, shift: usize, channels: usize, size: usize): void {
  for (let c: usize = 0; c < channels; c++, slope += F, shift += F) {
    const a = v128.load32_splat(slope), b = v128.load32_splat(shift);
    const whole = x + (size & ~3) * F, end = x + size * F;
    for (; x < whole; x += 16, y += 16) v128.store(y, f32x4.add(f32x4.mul(a, v(x)), b));
    for (; x < end; x += F, y += F) store<f32>(y, number(slope) * number(x) + number(shift));
  }
}

export function normSums(
  sums: usize, overlaps: usize, dy: usize, x: usize, mean: usize, scale: usize, channels: usize, size: usize,
): void {
  for (let c: usize = 0; c < channels; c++, sums += F, overlaps += F, mean += F, scale += F) {
    const m = v128.load32_splat(mean);
    let s0 = f32x4.splat(0), s1 = s0, p0 = s0, p1 = s0;
    const most = x + (size & ~7) * F, end = x + size * F;
    for (; x < most; x += 32, dy += 32) {
      const a = v128.load(dy), b = v128.load(dy, 16);
      s0 = f32x4.add(s0, a); s1 = f32x4.add(s1, b);
      p0 = madd(p0, a, f32x4.sub(v128.load(x), m)); p1 = madd(p1, b, f32x4.sub(v128.load(x, 16), m));
    }
    let s = total(f32x4.add(s0, s1)), p = total(f32x4.add(p0, p1));
    for (; x < end; x += F, dy += F) {
      s += number(dy);
      p += number(dy) * (number(x) - number(mean));
    }
    store<f32>(sums, s);
    store<f32>(overlaps, p * number(scale));
  }
}

export function normInput(
  dx: usize, dy: usize, x: usize, mean: usize, scale: usize, factor: usize, sums: usize, overlaps: usize,
  channels: usize, size: usize,
): void {
  for (let c: usize = 0; c < channels; c++, mean += F, scale += F, factor += F, sums += F, overlaps += F) {
    const slope = number(scale) * number(overlaps) / f32(size);
    const shift = number(sums) / f32(size), m = number(mean), k = number(factor);
    const slopes = f32x4.splat(slope), shifts = f32x4.splat(shift), ms = f32x4.splat(m), ks = f32x4.splat(k);
    const whole = x + (size & ~3) * F, end = x + size * F;
    for (; x < whole; x += 16, dy += 16, dx += 16) {
      const centered = f32x4.sub(v(x), ms);
      v128.store(dx, f32x4.mul(ks, f32x4.sub(f32x4.sub(v(dy), shifts), f32x4.mul(slopes, centered))));
    }
    for (; x < end; x += F, dy += F, dx += F)
      store<f32>(dx, k * (number(dy) - shift - slope * (number(x) - m)));
  }
}

// Pooling, ReLU and the rest

export function maxPool(
  y: usize, place: usize, x: usize, channels: usize, height: usize, width: usize, batch: usize,
): void {
  const pixel = batch * F, line = width * pixel;
  for (let c: usize = 0; c < channels; c++)
    for (let row: usize = 0; row + 2 <= height; row += 2)
      for (let column: usize = 0; column + 2 <= width; column += 2) {
        let p = x + (c * height + row) * line + column * pixel;
        const whole = p + (batch & ~3) * F, end = p + pixel;
        for (; p < whole; p += 16, y += 16, place += 16) {
          let best = v(p), which = i32x4.splat(0);
          let other = v(p + pixel), more = f32x4.gt(other, best);
          best = v128.bitselect(other, best, more); which = v128.bitselect(i32x4.splat(1), which, more);
          other = v(p + line); more = f32x4.gt(other, best);
          best = v128.bitselect(other, best, more); which = v128.bitselect(i32x4.splat(2), which, more);
          other = v(p + line + pixel); more = f32x4.gt(other, best);
          best = v128.bitselect(other, best, more); which = v128.bitselect(i32x4.splat(3), which, more);
          v128.store(y, best); v128.store(place, which);
        }
        for (; p < end; p += F, y += F, place += F) {
          let best = number(p), which = 0;
          if (number(p + pixel) > best) { best = number(p + pixel); which = 1; }
          if (number(p + line) > best) { best = number(p + line); which = 2; }
          if (number(p + line + pixel) > best) { best = number(p + line + pixel); which = 3; }
          store<f32>(y, best); store<i32>(place, which);
        }
      }
}

export function maxPoolInput(
  dx: usize, dy: usize, place: usize, channels: usize, height: usize, width: usize, batch: usize,
): void {
  const pixel = batch * F, line = width * pixel;
  for (let c: usize = 0; c < channels; c++)
    for (let row: usize = 0; row + 2 <= height; row += 2)
      for (let column: usize = 0; column + 2 <= width; column += 2) {
        let p = dx + (c * height + row) * line + column * pixel;
        const whole = p + (batch & ~3) * F, end = p + pixel;
        for (; p < whole; p += 16, dy += 16, place += 16) {
          const d = v(dy), which = v(place);
          v128.store(p, v128.and(d, i32x4.eq(which, i32x4.splat(0))));
          v128.store(p + pixel, v128.and(d, i32x4.eq(which, i32x4.splat(1))));
          v128.store(p + line, v128.and(d, i32x4.eq(which, i32x4.splat(2))));
          v128.store(p + line + pixel, v128.and(d, i32x4.eq(which, i32x4.splat(3))));
        }
        for (; p < end; p += F, dy += F, place += F) {
          const d = number(dy), which = load<i32>(place);
          store<f32>(p, which == 0 ? d : 0); store<f32>(p + pixel, which == 1 ? d : 0);
          store<f32>(p + line, which == 2 ? d : 0); store<f32>(p + line + pixel, which == 3 ? d : 0);
        }
      }
}

export function relu(y: usize, x: usize, length: usize): void {
  const zero = f32x4.splat(0), whole = x + (length & ~3) * F, end = x + length * F;
  for (; x < whole; x += 16, y += 16) v128.store(y, f32x4.max(v(x), zero));
  for (; x < end; x += F, y += F) store<f32>(y, max<f32>(number(x), 0));
}

export function reluInput(dx: usize, dy: usize, y: usize, length: usize): void {
  const zero = f32x4.splat(0), whole = y + (length & ~3) * F, end = y + length * F;
  for (; y < whole; y += 16, dy += 16, dx += 16) v128.store(dx, v128.and(v(dy), f32x4.gt(v(y), zero)));
  for (; y < end; y += F, dy += F, dx += F) store<f32>(dx, number(y) > 0 ? number(dy) : 0);
}

export function add(y: usize, a: usize, b: usize, length: usize): void {
  const whole = y + (length & ~3) * F, end = y + length * F;
  for (; y < whole; y += 16, a += 16, b += 16) v128.store(y, f32x4.add(v(a), v(b)));
  for (; y < end; y += F, a += F, b += F) store<f32>(y, number(a) + number(b));
}

export function combine(y: usize, a: f32, x: usize, b: f32, length: usize): void {
  const av = f32x4.splat(a), bv = f32x4.splat(b), whole = y + (length & ~3) * F, end = y + length * F;
  for (; y < whole; y += 16, x += 16) v128.store(y, f32x4.add(f32x4.mul(av, v(x)), f32x4.mul(bv, v(y))));
  for (; y < end; y += F, x += F) store<f32>(y, a * number(x) + b * number(y));
}

export function dot(p: usize, q: usize, length: usize): f32 {
  let a = f32x4.splat(0), b = a, c = a, d = a;
  const most = p + (length & ~15) * F, end = p + length * F;
  for (; p < most; p += 64, q += 64) {
    a = madd(a, v128.load(p), v128.load(q)); b = madd(b, v128.load(p, 16), v128.load(q, 16));
    c = madd(c, v128.load(p, 32), v128.load(q, 32)); d = madd(d, v128.load(p, 48), v128.load(q, 48));
  }
  for (; p < end; p += F, q += F) a = madd(a, v128.load32_zero(p), v128.load32_zero(q));
  return total(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
}

export function gram(products: usize, a: usize, b: usize, c: usize, d: usize, e: usize, length: usize): void {
  let aa = f32x4.splat(0), ab = aa, ac = aa, ad = aa, ae = aa, bb = aa, bc = aa, bd = aa, be = aa;
  let cc = aa, cd = aa, ce = aa, dd = aa, de = aa, ee = aa;
  const whole = (length & ~3) * F, end = length * F;
  for (let n: usize = 0; n < end; ) {
    const four = n < whole;
    const x = four ? v(a + n) : v128.load32_zero(a + n), y = four ? v(b + n) : v128.load32_zero(b + n);
    const z = four ? v(c + n) : v128.load32_zero(c + n), s = four ? v(d + n) : v128.load32_zero(d + n);
    const t = four ? v(e + n) : v128.load32_zero(e + n);
    aa = madd(aa, x, x); ab = madd(ab, x, y); ac = madd(ac, x, z); ad = madd(ad, x, s); ae = madd(ae, x, t);
    bb = madd(bb, y, y); bc = madd(bc, y, z); bd = madd(bd, y, s); be = madd(be, y, t);
    cc = madd(cc, z, z); cd = madd(cd, z, s); ce = madd(ce, z, t);
    dd = madd(dd, s, s); de = madd(de, s, t); ee = madd(ee, t, t);
    n += four ? 16 : F;
  }
  store<f32>(products, total(aa)); store<f32>(products, total(ab), 4); store<f32>(products, total(ac), 8);
  store<f32>(products, total(ad), 12); store<f32>(products, total(ae), 16); store<f32>(products, total(bb), 20);
  store<f32>(products, total(bc), 24); store<f32>(products, total(bd), 28); store<f32>(products, total(be), 32);
  store<f32>(products, total(cc), 36); store<f32>(products, total(cd), 40); store<f32>(products, total(ce), 44);
  store<f32>(products, total(dd), 48); store<f32>(products, total(de), 52); store<f32>(products, total(ee), 56);
}
