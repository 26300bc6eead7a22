// The embedded model's training step on a CPU with AVX-512 BF16: forward and backward pass of model.py, by hand.
//
// Matrix products take bfloat16 and add up in float; everything else is float. Rows of a batch lie one after another
// without padding, and a row may hold several conversations behind one shared prefix. train.py compiles this file when
// the machine can run it, and uses plain PyTorch otherwise. One call works on one thread.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

typedef uint16_t bf16;
typedef uint32_t pair;  // two bfloat16 that one VDPBF16PS lane multiplies and adds

static const long HEAD = 64, PANEL = 64;
static const float EPS = 1e-6f;

template <class T>
struct Buffer {
  T* at = nullptr;
  long size = 0;
  T* need(long n) {
    if (n > size) {
      free(at);
      size = n + n / 4;
      at = (T*)aligned_alloc(64, (size * sizeof(T) + 127) / 64 * 64);
    }
    return at;
  }
  ~Buffer() { free(at); }
};

static inline __m512 load(const bf16* x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)x)), 16));
}
static inline void store(bf16* to, __m512 x) { _mm256_storeu_si256((__m256i*)to, (__m256i)_mm512_cvtneps_pbh(x)); }
static inline __m512i rounded(__m512 x) {
  return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
}
static inline __m512 exp512(__m512 x) {  // 2^n times a polynomial of the rest; relative error below 1e-6
  x = _mm512_mul_ps(_mm512_max_ps(x, _mm512_set1_ps(-100.f)), _mm512_set1_ps(1.44269504f));
  __m512 n = _mm512_roundscale_ps(x, 0), r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(1.3333558e-3f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.6181291e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.5504109e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.4022651e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.9314718e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f));
  return _mm512_scalef_ps(p, n);
}

// ---- matrix products ----

template <int M>
static void tile(long kp, const pair* a, long si, long sk, const pair* b, float* c, long ldc, bool add) {
  __m512 acc[M][4];
  for (int i = 0; i < M; i++)
    for (int j = 0; j < 4; j++) acc[i][j] = add ? _mm512_loadu_ps(c + i * ldc + 16 * j) : _mm512_setzero_ps();
  for (long k = 0; k < kp; k++) {
    __m512bh b0 = (__m512bh)_mm512_load_si512(b), b1 = (__m512bh)_mm512_load_si512(b + 16);
    __m512bh b2 = (__m512bh)_mm512_load_si512(b + 32), b3 = (__m512bh)_mm512_load_si512(b + 48);
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) {
      __m512bh x = (__m512bh)_mm512_set1_epi32(a[i * si]);
      acc[i][0] = _mm512_dpbf16_ps(acc[i][0], x, b0);
      acc[i][1] = _mm512_dpbf16_ps(acc[i][1], x, b1);
      acc[i][2] = _mm512_dpbf16_ps(acc[i][2], x, b2);
      acc[i][3] = _mm512_dpbf16_ps(acc[i][3], x, b3);
    }
    a += sk;
    b += PANEL;
  }
  for (int i = 0; i < M; i++)
    for (int j = 0; j < 4; j++) _mm512_storeu_ps(c + i * ldc + 16 * j, acc[i][j]);
}

// c[m, 64] (+)= a * one panel of b. si and sk are the steps in a between rows and between pairs.
static void block(long m, long kp, const pair* a, long si, long sk, const pair* b, float* c, long ldc, bool add) {
  for (; m >= 6; m -= 6, a += 6 * si, c += 6 * ldc) tile<6>(kp, a, si, sk, b, c, ldc, add);
  switch (m) {
    case 1: tile<1>(kp, a, si, sk, b, c, ldc, add); break;
    case 2: tile<2>(kp, a, si, sk, b, c, ldc, add); break;
    case 3: tile<3>(kp, a, si, sk, b, c, ldc, add); break;
    case 4: tile<4>(kp, a, si, sk, b, c, ldc, add); break;
    case 5: tile<5>(kp, a, si, sk, b, c, ldc, add); break;
  }
}

// c[m, n] (+)= a[m, 2 kp] * b, with b in n / 64 panels of [kp][64] pairs. Blocked so that a panel piece stays in L1.
static void gemm(long m, long n, long kp, const pair* a, long si, long sk, const pair* b, float* c, long ldc, bool add) {
  const long MB = 240, KB = 64;
  for (long i = 0; i < m; i += MB)
    for (long j = 0; j < n; j += PANEL)
      for (long k = 0; k < kp; k += KB)
        block(std::min(MB, m - i), std::min(KB, kp - k), a + i * si + k * sk, si, sk, b + j * kp + k * PANEL,
              c + i * ldc + j, ldc, add || k);
}

// c = x * w^T or x * w for a row-major bf16 matrix x of `k` columns and a packed w.
static void product(long m, long n, long k, const bf16* x, const pair* w, float* c, bool add) {
  gemm(m, n, k / 2, (const pair*)x, k / 2, 1, w, c, n, add);
}

// Panels over the columns, pairs along the rows: the right side of (.. x rows) * (rows x columns).
static void pack_rows(const bf16* x, long rows, long cols, long ld, pair* out) {
  const long kp = (rows + 1) / 2;
  for (long r = 0; r < rows; r += 2) {
    const bf16 *a = x + r * ld, *b = r + 1 < rows ? a + ld : nullptr;
    for (long c = 0; c < cols; c += 16) {
      __m512i lo = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)(a + c)));
      __m512i hi = b ? _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)(b + c))) : _mm512_setzero_si512();
      _mm512_store_si512(out + c / PANEL * kp * PANEL + r / 2 * PANEL + c % PANEL,
                         _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16)));
    }
  }
}

// Panels over the rows, pairs along the columns: the right side of a product with x transposed.
static void pack_transposed(const bf16* x, long rows, long cols, long ld, pair* out) {
  const long kp = cols / 2;
  for (long r0 = 0; r0 < rows; r0 += PANEL, out += kp * PANEL) {
    if (rows - r0 < PANEL) memset(out, 0, kp * PANEL * sizeof(pair));
    for (long r = 0; r < std::min(PANEL, rows - r0); r++) {
      const pair* from = (const pair*)(x + (r0 + r) * ld);
      for (long k = 0; k < kp; k++) out[k * PANEL + r] = from[k];
    }
  }
}

// grad[n, k] += y^T x, with y and x packed by pack_rows over `rows` rows.
static void outer(long n, long k, long rows, const pair* y, const pair* x, float* grad) {
  const long kp = (rows + 1) / 2;
  for (long i = 0; i < n; i += PANEL) gemm(PANEL, k, kp, y + i * kp, 1, PANEL, x, grad + i * k, k, true);
}

static void to_bf16(const float* x, long n, bf16* out) {
  for (long i = 0; i < n; i += 16) store(out + i, _mm512_loadu_ps(x + i));
}

// ---- norms and rotary positions ----

static void norm_forward(const float* x, const float* w, long n, long d, bf16* out) {
  for (long t = 0; t < n; t++, x += d, out += d) {
    __m512 s = _mm512_setzero_ps();
    for (long i = 0; i < d; i += 16) {
      __m512 v = _mm512_loadu_ps(x + i);
      s = _mm512_fmadd_ps(v, v, s);
    }
    __m512 r = _mm512_set1_ps(1 / sqrtf(_mm512_reduce_add_ps(s) / d + EPS));
    for (long i = 0; i < d; i += 16)
      store(out + i, _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(x + i), r), _mm512_loadu_ps(w + i)));
  }
}

// dx += the norm's backward pass of dy.
static void norm_backward(const float* x, const float* w, const float* dy, long n, long d, float* dx, float* dw) {
  for (long t = 0; t < n; t++, x += d, dx += d, dy += d) {
    __m512 s = _mm512_setzero_ps(), p = s;
    for (long i = 0; i < d; i += 16) {
      __m512 v = _mm512_loadu_ps(x + i);
      s = _mm512_fmadd_ps(v, v, s);
      p = _mm512_fmadd_ps(_mm512_mul_ps(v, _mm512_loadu_ps(w + i)), _mm512_loadu_ps(dy + i), p);
    }
    const float r = 1 / sqrtf(_mm512_reduce_add_ps(s) / d + EPS);
    const __m512 rv = _mm512_set1_ps(r), mean = _mm512_set1_ps(_mm512_reduce_add_ps(p) * r * r / d);
    for (long i = 0; i < d; i += 16) {
      __m512 v = _mm512_loadu_ps(x + i), g = _mm512_loadu_ps(dy + i);
      __m512 inner = _mm512_fnmadd_ps(v, mean, _mm512_mul_ps(g, _mm512_loadu_ps(w + i)));
      _mm512_storeu_ps(dx + i, _mm512_fmadd_ps(rv, inner, _mm512_loadu_ps(dx + i)));
      _mm512_storeu_ps(dw + i, _mm512_fmadd_ps(g, _mm512_mul_ps(v, rv), _mm512_loadu_ps(dw + i)));
    }
  }
}

// One head: norm, weight, rotation by the position's angles, times `scale`.
static void head_forward(const float* x, const float* w, const float* cos, const float* sin, float scale, bf16* out) {
  __m512 v[4], s = _mm512_setzero_ps();
  for (int i = 0; i < 4; i++) v[i] = _mm512_loadu_ps(x + 16 * i), s = _mm512_fmadd_ps(v[i], v[i], s);
  const __m512 r = _mm512_set1_ps(scale / sqrtf(_mm512_reduce_add_ps(s) / HEAD + EPS));
  for (int i = 0; i < 4; i++) v[i] = _mm512_mul_ps(_mm512_mul_ps(v[i], r), _mm512_loadu_ps(w + 16 * i));
  for (int i = 0; i < 2; i++) {
    const __m512 c = _mm512_loadu_ps(cos + 16 * i), z = _mm512_loadu_ps(sin + 16 * i);
    store(out + 16 * i, _mm512_fmsub_ps(v[i], c, _mm512_mul_ps(v[i + 2], z)));
    store(out + 32 + 16 * i, _mm512_fmadd_ps(v[i + 2], c, _mm512_mul_ps(v[i], z)));
  }
}

static void head_backward(const bf16* x, const float* w, const float* cos, const float* sin, float scale,
                          const float* dy, bf16* dx, float* dw) {
  __m512 v[4], g[4], s = _mm512_setzero_ps(), p = s;
  for (int i = 0; i < 2; i++) {
    const __m512 c = _mm512_loadu_ps(cos + 16 * i), z = _mm512_loadu_ps(sin + 16 * i);
    const __m512 a = _mm512_loadu_ps(dy + 16 * i), b = _mm512_loadu_ps(dy + 32 + 16 * i);
    g[i] = _mm512_fmadd_ps(a, c, _mm512_mul_ps(b, z));
    g[i + 2] = _mm512_fmsub_ps(b, c, _mm512_mul_ps(a, z));
  }
  for (int i = 0; i < 4; i++) {
    v[i] = load(x + 16 * i);
    g[i] = _mm512_mul_ps(g[i], _mm512_set1_ps(scale));
    s = _mm512_fmadd_ps(v[i], v[i], s);
    p = _mm512_fmadd_ps(_mm512_mul_ps(v[i], _mm512_loadu_ps(w + 16 * i)), g[i], p);
  }
  const float r = 1 / sqrtf(_mm512_reduce_add_ps(s) / HEAD + EPS);
  const __m512 rv = _mm512_set1_ps(r), mean = _mm512_set1_ps(_mm512_reduce_add_ps(p) * r * r / HEAD);
  for (int i = 0; i < 4; i++) {
    const __m512 inner = _mm512_fnmadd_ps(v[i], mean, _mm512_mul_ps(g[i], _mm512_loadu_ps(w + 16 * i)));
    store(dx + 16 * i, _mm512_mul_ps(rv, inner));
    _mm512_storeu_ps(dw + 16 * i, _mm512_fmadd_ps(g[i], _mm512_mul_ps(v[i], rv), _mm512_loadu_ps(dw + 16 * i)));
  }
}

// ---- attention of one head over one row ----

struct Attention {
  Buffer<pair> kt, vt, kr, vr, qr, dor, pp, dsp;
  Buffer<float> s, dp, dk, dv;
  Buffer<bf16> p;
  std::vector<long> panels;

  // Which panels of 64 keys some query of [i0, i0 + m) sees.
  void choose(long i0, long m, long prefix, const int* start) {
    panels.clear();
    const long low = *std::min_element(start + i0, start + i0 + m);
    for (long j = 0; j < i0 + m; j += PANEL)
      if (j < prefix || j + PANEL > low) panels.push_back(j);
  }

  static __mmask16 seen(long i, long j, long prefix, long start) {
    const __m512i at = _mm512_add_epi32(_mm512_set1_epi32((int)j),
                                        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    return _mm512_cmple_epi32_mask(at, _mm512_set1_epi32((int)i)) &
           (_mm512_cmplt_epi32_mask(at, _mm512_set1_epi32((int)prefix)) |
            _mm512_cmpge_epi32_mask(at, _mm512_set1_epi32((int)start)));
  }

  void forward(long len, long prefix, const int* start, const bf16* q, const bf16* k, const bf16* v, long ld, long ldv,
               bf16* out, float* lse, long ldl) {
    const long wide = (len + PANEL - 1) / PANEL * PANEL;
    pack_transposed(k, len, HEAD, ld, kt.need(wide * HEAD / 2));
    vr.need(wide * HEAD / 2);
    memset(vr.at + len / 2 * HEAD, 0, (wide - len) / 2 * HEAD * sizeof(pair));
    pack_rows(v, len, HEAD, ldv, vr.at);
    s.need(PANEL * wide);
    p.need(PANEL * wide);
    for (long i0 = 0; i0 < len; i0 += PANEL) {
      const long m = std::min(PANEL, len - i0);
      choose(i0, m, prefix, start);
      const long n = panels.size() * PANEL;
      float sum[64];
      alignas(64) float o[64 * 64];
      for (size_t b = 0; b < panels.size(); b++)
        block(m, HEAD / 2, (const pair*)(q + i0 * ld), ld / 2, 1, kt.at + panels[b] * HEAD / 2, s.at + b * PANEL, n, false);
      for (long i = 0; i < m; i++) {
        float* row = s.at + i * n;
        __m512 top = _mm512_set1_ps(-1e30f);
        for (long c = 0; c < n; c += 16) {
          const __mmask16 ok = seen(i0 + i, panels[c / PANEL] + c % PANEL, prefix, start[i0 + i]);
          const __m512 x = _mm512_mask_loadu_ps(_mm512_set1_ps(-1e30f), ok, row + c);
          _mm512_storeu_ps(row + c, x);
          top = _mm512_max_ps(top, x);
        }
        const float t = _mm512_reduce_max_ps(top);
        __m512 total = _mm512_setzero_ps();
        for (long c = 0; c < n; c += 16) {
          const __m512 e = exp512(_mm512_sub_ps(_mm512_loadu_ps(row + c), _mm512_set1_ps(t)));
          total = _mm512_add_ps(total, e);
          store(p.at + i * n + c, e);
        }
        sum[i] = _mm512_reduce_add_ps(total);
        lse[(i0 + i) * ldl] = t + logf(sum[i]);
      }
      for (size_t b = 0; b < panels.size(); b++)
        block(m, PANEL / 2, (const pair*)p.at + b * PANEL / 2, n / 2, 1, vr.at + panels[b] / 2 * HEAD, o, HEAD, b > 0);
      for (long i = 0; i < m; i++)
        for (int c = 0; c < 64; c += 16)
          store(out + (i0 + i) * ld + c, _mm512_mul_ps(_mm512_loadu_ps(o + i * 64 + c), _mm512_set1_ps(1 / sum[i])));
    }
  }

  // Writes dq, dk, dv with row step lddx.
  void backward(long len, long prefix, const int* start, const bf16* q, const bf16* k, const bf16* v, long ld, long ldv,
                const bf16* o, const bf16* dout, const float* lse, long ldl, float* dqo, float* dko, float* dvo,
                long lddx) {
    const long wide = (len + PANEL - 1) / PANEL * PANEL, size = wide * HEAD / 2;
    pack_transposed(k, len, HEAD, ld, kt.need(size));
    pack_transposed(v, len, HEAD, ldv, vt.need(size));
    kr.need(size);
    memset(kr.at + len / 2 * HEAD, 0, (wide - len) / 2 * HEAD * sizeof(pair));
    pack_rows(k, len, HEAD, ld, kr.at);
    pack_rows(q, len, HEAD, ld, qr.need(size));
    pack_rows(dout, len, HEAD, ld, dor.need(size));
    s.need(PANEL * wide);
    dp.need(PANEL * wide);
    p.need(PANEL * wide);
    pp.need(PANEL / 2 * wide);
    dsp.need(PANEL / 2 * wide);
    memset(dk.need(wide * HEAD), 0, wide * HEAD * sizeof(float));
    memset(dv.need(wide * HEAD), 0, wide * HEAD * sizeof(float));
    for (long i0 = 0; i0 < len; i0 += PANEL) {
      const long m = std::min(PANEL, len - i0);
      choose(i0, m, prefix, start);
      const long n = panels.size() * PANEL;
      for (size_t b = 0; b < panels.size(); b++) {
        block(m, HEAD / 2, (const pair*)(q + i0 * ld), ld / 2, 1, kt.at + panels[b] * HEAD / 2, s.at + b * PANEL, n, false);
        block(m, HEAD / 2, (const pair*)(dout + i0 * ld), ld / 2, 1, vt.at + panels[b] * HEAD / 2, dp.at + b * PANEL, n,
              false);
      }
      for (long i = 0; i < m; i += 2) {
        __m512 delta[2], base[2];
        for (int h = 0; h < 2; h++) {
          __m512 d = _mm512_setzero_ps();
          const long t = i0 + i + h;
          for (int c = 0; c < 64; c += 16) d = _mm512_fmadd_ps(load(o + t * ld + c), load(dout + t * ld + c), d);
          delta[h] = _mm512_set1_ps(_mm512_reduce_add_ps(d));
          base[h] = _mm512_set1_ps(lse[t * ldl]);
        }
        for (long c = 0; c < n; c += 16) {
          __m512i e[2], g[2];
          for (int h = 0; h < 2; h++) {
            const long t = i0 + i + h, x = (i + h) * n + c;
            const __mmask16 ok = seen(t, panels[c / PANEL] + c % PANEL, prefix, start[t]);
            const __m512 w = _mm512_maskz_mov_ps(ok, exp512(_mm512_sub_ps(_mm512_loadu_ps(s.at + x), base[h])));
            const __m512 ds = _mm512_mul_ps(w, _mm512_sub_ps(_mm512_loadu_ps(dp.at + x), delta[h]));
            store(p.at + x, ds);
            e[h] = rounded(w);
            g[h] = rounded(ds);
          }
          _mm512_store_si512(pp.at + i / 2 * n + c, _mm512_or_si512(e[0], _mm512_slli_epi32(e[1], 16)));
          _mm512_store_si512(dsp.at + i / 2 * n + c, _mm512_or_si512(g[0], _mm512_slli_epi32(g[1], 16)));
        }
      }
      for (size_t b = 0; b < panels.size(); b++) {
        block(m, PANEL / 2, (const pair*)p.at + b * PANEL / 2, n / 2, 1, kr.at + panels[b] / 2 * HEAD, dqo + i0 * lddx,
              lddx, b > 0);
        block(PANEL, m / 2, dsp.at + b * PANEL, 1, n, qr.at + i0 / 2 * HEAD, dk.at + panels[b] * HEAD, HEAD, true);
        block(PANEL, m / 2, pp.at + b * PANEL, 1, n, dor.at + i0 / 2 * HEAD, dv.at + panels[b] * HEAD, HEAD, true);
      }
    }
    for (long i = 0; i < len; i++) {
      memcpy(dko + i * lddx, dk.at + i * HEAD, HEAD * sizeof(float));
      memcpy(dvo + i * lddx, dv.at + i * HEAD, HEAD * sizeof(float));
    }
  }
};

// ---- the model ----

struct Batch {  // mirrored in train.py
  long tokens, rows;
  const int *ids, *next, *position, *start;  // a token's position; where in its row its conversation starts
  const float* weight;
  const long *at, *prefix;  // rows + 1 offsets, all even; the length of each row's shared prefix
};

struct Packed {  // a weight matrix w [out, in]: for x w^T, and for dy w
  Buffer<pair> forward, backward;
  void set(const float* w, long out, long in, Buffer<bf16>& scratch) {
    to_bf16(w, out * in, scratch.need(out * in));
    pack_transposed(scratch.at, out, in, in, forward.need(out * in / 2));
    pack_rows(scratch.at, out, in, in, backward.need(out * in / 2));
  }
};

struct Layer {
  const float *norm1, *qnorm, *knorm, *norm2;
  Packed qkv, out, gate_up, down;
  Buffer<float> x, mid, lse;                   // the residual stream before attention, and before the feed-forward part
  Buffer<bf16> h1, raw, q, k, o, chosen, h2, gu, act;
};

struct Model {
  long vocab, dim, layers, heads, ff;
  const float *embed, *norm;
  std::vector<Layer> layer;
  Packed head;
  std::vector<float> cos, sin;
  Attention attention;
  Buffer<bf16> scratch, a, b, last;
  Buffer<pair> px, py;
  Buffer<float> wide, narrow, dx, dsel, final_x, logits;
};

enum { NORM1, QKV, QNORM, KNORM, OUT, NORM2, GATE_UP, DOWN, PER_LAYER };

// x -> x + down(silu(gate) * up), over n rows.
static void feed_forward(Model& m, Layer& l, long n, float* x) {
  const long d = m.dim, f = m.ff;
  norm_forward(x, l.norm2, n, d, l.h2.need(n * d));
  product(n, 2 * f, d, l.h2.at, l.gate_up.forward.at, m.wide.need(n * 2 * f), false);
  to_bf16(m.wide.at, n * 2 * f, l.gu.need(n * 2 * f));
  l.act.need(n * f);
  for (long t = 0; t < n; t++)
    for (long i = 0; i < f; i += 16) {
      const __m512 g = _mm512_loadu_ps(m.wide.at + t * 2 * f + i), u = _mm512_loadu_ps(m.wide.at + t * 2 * f + f + i);
      const __m512 e = _mm512_add_ps(_mm512_set1_ps(1), exp512(_mm512_sub_ps(_mm512_setzero_ps(), g)));
      store(l.act.at + t * f + i, _mm512_mul_ps(_mm512_div_ps(g, e), u));
    }
  product(n, d, f, l.act.at, l.down.forward.at, x, true);
}

static void feed_forward_backward(Model& m, Layer& l, long n, float* dx, float** grad) {
  const long d = m.dim, f = m.ff;
  to_bf16(dx, n * d, m.a.need(n * d));
  product(n, f, d, m.a.at, l.down.backward.at, m.wide.need(n * 2 * f), false);
  pack_rows(m.a.at, n, d, d, m.py.need((n + 1) / 2 * d));
  pack_rows(l.act.at, n, f, f, m.px.need((n + 1) / 2 * f));
  outer(d, f, n, m.py.at, m.px.at, grad[DOWN]);
  m.b.need(n * 2 * f);
  for (long t = 0; t < n; t++)
    for (long i = 0; i < f; i += 16) {
      const __m512 g = load(l.gu.at + t * 2 * f + i), u = load(l.gu.at + t * 2 * f + f + i);
      const __m512 da = _mm512_loadu_ps(m.wide.at + t * f + i), one = _mm512_set1_ps(1);
      const __m512 e = _mm512_add_ps(one, exp512(_mm512_sub_ps(_mm512_setzero_ps(), g)));
      const __m512 sig = _mm512_div_ps(one, e), silu = _mm512_mul_ps(g, sig);
      const __m512 slope = _mm512_fmadd_ps(silu, _mm512_sub_ps(one, sig), sig);
      store(m.b.at + t * 2 * f + i, _mm512_mul_ps(_mm512_mul_ps(da, u), slope));
      store(m.b.at + t * 2 * f + f + i, _mm512_mul_ps(da, silu));
    }
  product(n, d, 2 * f, m.b.at, l.gate_up.backward.at, m.narrow.need(n * d), false);
  pack_rows(m.b.at, n, 2 * f, 2 * f, m.py.need((n + 1) / 2 * 2 * f));
  pack_rows(l.h2.at, n, d, d, m.px.need((n + 1) / 2 * d));
  outer(2 * f, d, n, m.py.at, m.px.at, grad[GATE_UP]);
  norm_backward(l.mid.at, l.norm2, m.narrow.at, n, d, dx, grad[NORM2]);
}

extern "C" {

Model* nano_new(long vocab, long dim, long layers, long heads, long ff, long context, const float* table) {
  if (dim != heads * HEAD || ff % PANEL || vocab % PANEL) return nullptr;
  Model* m = new Model();
  m->vocab = vocab, m->dim = dim, m->layers = layers, m->heads = heads, m->ff = ff;
  m->layer = std::vector<Layer>(layers);
  m->cos.assign(table, table + context * HEAD / 2);
  m->sin.assign(table + context * HEAD / 2, table + context * HEAD);
  return m;
}

// Takes new weights: parameters in the order of model.py.
void nano_load(Model* m, float** p) {
  const long d = m->dim;
  m->embed = p[0];
  m->head.set(p[0], m->vocab, d, m->scratch);
  for (long i = 0; i < m->layers; i++) {
    Layer& l = m->layer[i];
    float** w = p + 1 + i * PER_LAYER;
    l.norm1 = w[NORM1], l.qnorm = w[QNORM], l.knorm = w[KNORM], l.norm2 = w[NORM2];
    l.qkv.set(w[QKV], 3 * d, d, m->scratch);
    l.out.set(w[OUT], d, d, m->scratch);
    l.gate_up.set(w[GATE_UP], 2 * m->ff, d, m->scratch);
    l.down.set(w[DOWN], d, m->ff, m->scratch);
  }
  m->norm = p[1 + m->layers * PER_LAYER];
}

// The weighted loss (nats, summed) of a batch. Adds the gradients of that sum to `grads` unless it is null. `loss` and
// `hit` get each token's loss and whether the most likely token was right, for tokens of weight > 0.
double nano_step(Model* mp, const Batch* bp, float** grads, float* loss, uint8_t* hit) {
  Model& m = *mp;
  const Batch& b = *bp;
  const long n = b.tokens, d = m.dim, v = m.vocab, L = m.layers;
  const float scale = 1 / sqrtf(HEAD);
  std::vector<long> chosen;  // the tokens whose successor counts: the last layer works on them alone past its attention
  for (long t = 0; t < n; t++)
    if (b.weight[t] > 0) chosen.push_back(t);
  const long c = chosen.size();
  if (c == 0) return 0;

  float* x = m.layer[0].x.need(n * d);
  for (long t = 0; t < n; t++) memcpy(x + t * d, m.embed + b.ids[t] * d, d * sizeof(float));
  for (long i = 0; i < L; i++) {
    Layer& l = m.layer[i];
    norm_forward(l.x.at, l.norm1, n, d, l.h1.need(n * d));
    product(n, 3 * d, d, l.h1.at, l.qkv.forward.at, m.wide.need(n * 3 * d), false);
    to_bf16(m.wide.at, n * 3 * d, l.raw.need(n * 3 * d));
    l.q.need(n * d), l.k.need(n * d), l.o.need(n * d), l.lse.need(n * m.heads);
    for (long t = 0; t < n; t++) {
      const float *co = &m.cos[b.position[t] * HEAD / 2], *si = &m.sin[b.position[t] * HEAD / 2];
      for (long h = 0; h < m.heads; h++) {
        head_forward(m.wide.at + t * 3 * d + h * HEAD, l.qnorm, co, si, scale, l.q.at + t * d + h * HEAD);
        head_forward(m.wide.at + t * 3 * d + d + h * HEAD, l.knorm, co, si, 1, l.k.at + t * d + h * HEAD);
      }
    }
    for (long r = 0; r < b.rows; r++)
      for (long h = 0; h < m.heads; h++) {
        const long t = b.at[r], o = t * d + h * HEAD;
        m.attention.forward(b.at[r + 1] - t, b.prefix[r], b.start + t, l.q.at + o, l.k.at + o,
                            l.raw.at + t * 3 * d + 2 * d + h * HEAD, d, 3 * d, l.o.at + o, l.lse.at + t * m.heads + h, m.heads);
      }
    const bool last = i == L - 1;
    const long rows = last ? c : n;
    const bf16* o = l.o.at;
    l.mid.need(rows * d);
    if (last) {
      l.chosen.need(c * d);
      for (long j = 0; j < c; j++) {
        memcpy(l.mid.at + j * d, l.x.at + chosen[j] * d, d * sizeof(float));
        memcpy(l.chosen.at + j * d, l.o.at + chosen[j] * d, d * sizeof(bf16));
      }
      o = l.chosen.at;
    } else {
      memcpy(l.mid.at, l.x.at, n * d * sizeof(float));
    }
    product(rows, d, d, o, l.out.forward.at, l.mid.at, true);
    float* y = last ? m.final_x.need(c * d) : m.layer[i + 1].x.need(n * d);
    memcpy(y, l.mid.at, rows * d * sizeof(float));
    feed_forward(m, l, rows, y);
  }
  norm_forward(m.final_x.at, m.norm, c, d, m.last.need(c * d));

  double total = 0;
  const long CHUNK = 192;
  m.logits.need(CHUNK * v);
  m.dsel.need(c * d);
  for (long c0 = 0; c0 < c; c0 += CHUNK) {
    const long k = std::min(CHUNK, c - c0);
    product(k, v, d, m.last.at + c0 * d, m.head.forward.at, m.logits.at, false);
    if (grads) m.b.need(k * v);
    for (long j = 0; j < k; j++) {
      const long t = chosen[c0 + j];
      float* row = m.logits.at + j * v;
      __m512 top = _mm512_set1_ps(-1e30f), sum = _mm512_setzero_ps();
      for (long i = 0; i < v; i += 16) top = _mm512_max_ps(top, _mm512_loadu_ps(row + i));
      const float high = _mm512_reduce_max_ps(top), own = row[b.next[t]];
      for (long i = 0; i < v; i += 16) {
        const __m512 e = exp512(_mm512_sub_ps(_mm512_loadu_ps(row + i), _mm512_set1_ps(high)));
        sum = _mm512_add_ps(sum, e);
        _mm512_storeu_ps(row + i, e);
      }
      const float s = _mm512_reduce_add_ps(sum);
      loss[t] = high + logf(s) - own;
      hit[t] = own >= high;
      total += (double)loss[t] * b.weight[t];
      if (!grads) continue;
      const __m512 f = _mm512_set1_ps(b.weight[t] / s);
      row[b.next[t]] -= s;
      for (long i = 0; i < v; i += 16) store(m.b.at + j * v + i, _mm512_mul_ps(_mm512_loadu_ps(row + i), f));
    }
    if (!grads) continue;
    product(k, d, v, m.b.at, m.head.backward.at, m.dsel.at + c0 * d, false);
    pack_rows(m.b.at, k, v, v, m.py.need((k + 1) / 2 * v));
    pack_rows(m.last.at + c0 * d, k, d, d, m.px.need((k + 1) / 2 * d));
    outer(v, d, k, m.py.at, m.px.at, grads[0]);
  }
  if (!grads) return total;

  // dsel: gradient at the chosen tokens; dx: at all tokens.
  float* dc = m.narrow.need(c * d);
  memset(dc, 0, c * d * sizeof(float));
  norm_backward(m.final_x.at, m.norm, m.dsel.at, c, d, dc, grads[1 + L * PER_LAYER]);
  memcpy(m.dsel.at, dc, c * d * sizeof(float));
  float* dx = m.dx.need(n * d);
  memset(dx, 0, n * d * sizeof(float));
  for (long i = L - 1; i >= 0; i--) {
    Layer& l = m.layer[i];
    float** grad = grads + 1 + i * PER_LAYER;
    const bool last = i == L - 1;
    const long rows = last ? c : n;
    float* own = last ? m.dsel.at : dx;
    feed_forward_backward(m, l, rows, own, grad);
    to_bf16(own, rows * d, m.a.need(n * d));
    product(rows, d, d, m.a.at, l.out.backward.at, m.narrow.need(n * d), false);
    pack_rows(m.a.at, rows, d, d, m.py.need((rows + 1) / 2 * d));
    pack_rows(last ? l.chosen.at : l.o.at, rows, d, d, m.px.need((rows + 1) / 2 * d));
    outer(d, d, rows, m.py.at, m.px.at, grad[OUT]);
    m.a.need(n * d);
    if (last) {  // back to all tokens
      memset(m.a.at, 0, n * d * sizeof(bf16));
      for (long j = 0; j < c; j++) {
        to_bf16(m.narrow.at + j * d, d, m.a.at + chosen[j] * d);
        memcpy(dx + chosen[j] * d, m.dsel.at + j * d, d * sizeof(float));
      }
    } else {
      to_bf16(m.narrow.at, n * d, m.a.at);
    }
    float* dqkv = m.wide.need(n * 3 * d);
    for (long r = 0; r < b.rows; r++)
      for (long h = 0; h < m.heads; h++) {
        const long t = b.at[r], o = t * d + h * HEAD;
        float* to = dqkv + t * 3 * d + h * HEAD;
        m.attention.backward(b.at[r + 1] - t, b.prefix[r], b.start + t, l.q.at + o, l.k.at + o,
                             l.raw.at + t * 3 * d + 2 * d + h * HEAD, d, 3 * d, l.o.at + o, m.a.at + o,
                             l.lse.at + t * m.heads + h, m.heads, to, to + d, to + 2 * d, 3 * d);
      }
    m.b.need(n * 3 * d);
    for (long t = 0; t < n; t++) {
      const float *co = &m.cos[b.position[t] * HEAD / 2], *si = &m.sin[b.position[t] * HEAD / 2];
      const long o = t * 3 * d;
      for (long h = 0; h < m.heads; h++) {
        const long q = o + h * HEAD, k = q + d;
        head_backward(l.raw.at + q, l.qnorm, co, si, scale, dqkv + q, m.b.at + q, grad[QNORM]);
        head_backward(l.raw.at + k, l.knorm, co, si, 1, dqkv + k, m.b.at + k, grad[KNORM]);
      }
      to_bf16(dqkv + o + 2 * d, d, m.b.at + o + 2 * d);
    }
    product(n, d, 3 * d, m.b.at, l.qkv.backward.at, m.narrow.need(n * d), false);
    pack_rows(m.b.at, n, 3 * d, 3 * d, m.py.need((n + 1) / 2 * 3 * d));
    pack_rows(l.h1.at, n, d, d, m.px.need((n + 1) / 2 * d));
    outer(3 * d, d, n, m.py.at, m.px.at, grad[QKV]);
    norm_backward(l.x.at, l.norm1, m.narrow.at, n, d, dx, grad[NORM1]);
  }
  for (long t = 0; t < n; t++)
    for (long i = 0; i < d; i += 16) {
      float* g = grads[0] + b.ids[t] * d + i;
      _mm512_storeu_ps(g, _mm512_add_ps(_mm512_loadu_ps(g), _mm512_loadu_ps(dx + t * d + i)));
    }
  return total;
}

// Newton-Schulz steps x <- a x + (b g + c g g) x with g = x x^T on a matrix of `rows` <= `cols`, in place (Muon).
void nano_orthogonalise(float* x, long rows, long cols, long steps) {
  static thread_local Buffer<bf16> xb, gb;
  static thread_local Buffer<pair> xp, gp;
  static thread_local Buffer<float> g, g2, y;
  const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
  double norm = 0;
  for (long i = 0; i < rows * cols; i++) norm += (double)x[i] * x[i];
  const float f = 1 / (sqrt(norm) + 1e-7);
  for (long i = 0; i < rows * cols; i++) x[i] *= f;
  for (long s = 0; s < steps; s++) {
    to_bf16(x, rows * cols, xb.need(rows * cols));
    pack_transposed(xb.at, rows, cols, cols, xp.need(rows * cols / 2));
    product(rows, rows, cols, xb.at, xp.at, g.need(rows * rows), false);
    to_bf16(g.at, rows * rows, gb.need(rows * rows));
    pack_rows(gb.at, rows, rows, rows, gp.need(rows * rows / 2));
    product(rows, rows, rows, gb.at, gp.at, g2.need(rows * rows), false);
    for (long i = 0; i < rows * rows; i++) g.at[i] = b * g.at[i] + c * g2.at[i];
    to_bf16(g.at, rows * rows, gb.at);
    pack_rows(xb.at, rows, cols, cols, xp.at);
    for (long i = 0; i < rows * cols; i++) x[i] *= a;
    product(rows, cols, rows, gb.at, xp.at, x, true);
  }
}
}
