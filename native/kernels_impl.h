// The kernels, written once with vector extensions and compiled per instruction set (see kernels.h).
// The including file defines LANES, BLOCK_ROWS, BLOCK_VECTORS, HALF_IS_FAST, SFUMATO_NAME and SFUMATO_TABLE; one with
// tiles also TILES; one whose float32 products over all k have other blocks DENSE_ROWS and DENSE_VECTORS.
//
// Product (products_impl.h): a block of BLOCK_ROWS x BLOCK_VECTORS accumulators stays in registers over the whole depth; each step
// loads BLOCK_VECTORS vectors of B and broadcasts BLOCK_ROWS scalars of A. AVX-512: 8 x 3 = 24 accumulators + 3 + 1
// of 32 registers, 11 loads for 24 FMAs; AVX2 and SSE: 4 x 3 + 3 + 1 of 16. Bound by FMA, if B comes from L2. With AVX2 a
// whole panel of 300 x 24 does not fit into L1 (24 floats are one and a half lines, 38 KB with the halves that are not
// wanted), 300 x 16 and 6 rows of A do: 6 x 2 has 87 to 89 % of the peak there, 4 x 3 had 83.
#include <cstddef>
#include <cstdint>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "kernels.h"
#if HALF_IS_FAST || defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef DENSE_ROWS
#define DENSE_ROWS BLOCK_ROWS
#define DENSE_VECTORS BLOCK_VECTORS
#endif

namespace sfumato {
namespace {

#include "vector_impl.h"

// ---------------------------------------------------------------------------------------------- activations
// Each: value and slope of a vector of pre-activations. `kSlope` false: the slope is not wanted.
struct Point {
  vf value, slope;
};

struct Relu {
  static INLINE Point at(vf z, float) { return {z < 0.f ? vf{} : z, vf{}}; }  // NaN stays NaN
};
struct LeakyRelu {
  static INLINE Point at(vf z, float leak) { return {z < 0.f ? z * leak : z, vf{}}; }
};
struct Tanh {
  static INLINE Point at(vf z, float) {
    const vf t = hyperbolic_tangent(z);
    return {t, 1.f - t * t};
  }
};
struct Sigmoid {
  static INLINE Point at(vf z, float) {
    const vf s = logistic(z);
    return {s, s * (1.f - s)};
  }
};
struct Silu {
  static INLINE Point at(vf z, float) {
    const vf s = logistic(z);
    return {z * s, s * (1.f + z * (1.f - s))};
  }
};
struct Gelu {  // z times the share of a normal distribution that lies below z
  static INLINE Point at(vf z, float) {
    const vf size = absolute(z), density = exponential(-0.5f * z * z);
    // the share beyond |z| over e^(-z^2 / 2), which is erfcx(|z| / sqrt(2)) / 2, in powers of t; relative error 5e-8
    const vf t = 1.f / (1.f + 0.35f * size);
    const vf far = (((-0.0291147344f * t + 0.143817157f) * t - 0.255388618f) * t + 0.158794045f) * t - 0.0228418317f;
    const vf near = (((far * t + 0.105391525f) * t + 0.119863234f) * t + 0.139857545f) * t + 0.13962166f;
    const vf beyond = density * t * near;
    const vf below = z < 0.f ? beyond : 1.f - beyond;
    return {z * below, below + 0.398942280401432678f * z * density};
  }
};
struct Gaussian {  // exp(-(scale z)^2)
  static INLINE Point at(vf z, float scale) {
    const vf u = z * scale;
    const vf e = exponential(-u * u);
    return {e, -2.f * scale * u * e};
  }
};

template <class Function, bool kSlope>
void finish_forward(float* values, size_t stride, void* slopes, size_t slopes_stride, int rows, int columns,
                    float parameter) {
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < columns; n += LANES) {
      const Point p = Function::at(load(values + m * stride + n), parameter);
      store(values + m * stride + n, p.value);
      if (kSlope) store(static_cast<float*>(slopes) + m * slopes_stride + n, p.slope);
    }
}

// sin(factor z) with slope factor cos(factor z). Sine: factor = omega. FINER: factor = omega (|z| + 1), taken as
// a constant by the derivative (Liu et al. 2024 detach it).
template <bool kFiner, bool kSlope>
void finish_sine(float* values, size_t stride, void* slopes, size_t slopes_stride, int rows, int columns,
                 float omega) {
  vf most{};
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < columns; n += LANES) {
      const vf z = load(values + m * stride + n);
      most = greater_of(absolute(kFiner ? omega * ((absolute(z) + 1.f) * z) : omega * z), most);
    }
  const bool far = largest(most) > kFarPhase;
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < columns; n += LANES) {
      const vf z = load(values + m * stride + n);
      const vf factor = kFiner ? absolute(z) + 1.f : spread(1.f);
      const vf phase = omega * (kFiner ? factor * z : z);
      vf s, c;
      sine_cosine(phase, s, c);
      if (__builtin_expect(far, 0))
        for (int i = 0; i < LANES; i++) s[i] = ::sinf(phase[i]), c[i] = ::cosf(phase[i]);
      store(values + m * stride + n, s);
      if (kSlope) store(static_cast<float*>(slopes) + m * slopes_stride + n, c * (factor * omega));
    }
}

struct Full {  // slopes or activations in float32
  static INLINE vf at(const void* slopes, size_t i) { return load(static_cast<const float*>(slopes) + i); }
};
struct Packed {  // in bfloat16
  static INLINE vf at(const void* slopes, size_t i) {
    return from_half(*reinterpret_cast<const vh*>(static_cast<const uint16_t*>(slopes) + i));
  }
};
template <class From>
void backward_sign(float* values, size_t stride, void* outputs, size_t outputs_stride, int rows, int columns,
                   float leak) {
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < columns; n += LANES) {
      const vf v = load(values + m * stride + n);
      store(values + m * stride + n, From::at(outputs, m * outputs_stride + n) > 0.f ? v : v * leak);
    }
}
template <class From>
void backward_relu(float* values, size_t stride, void* outputs, size_t outputs_stride, int rows, int columns, float) {
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < columns; n += LANES) {
      const vf v = load(values + m * stride + n);
      store(values + m * stride + n, From::at(outputs, m * outputs_stride + n) > 0.f ? v : vf{});
    }
}
void backward_slope(float* values, size_t stride, void* slopes, size_t slopes_stride, int rows, int columns, float) {
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < columns; n += LANES)
      store(values + m * stride + n, load(values + m * stride + n) * Full::at(slopes, m * slopes_stride + n));
}

#include "competition_impl.h"
#include "prelu_impl.h"

// -------------------------------------------------------------------------------------------------- products
void pack(const float* from, size_t stride, int rows, int columns, uint16_t* rows16, size_t rows16_row,
          uint32_t* pairs, size_t pairs_row) {
  if (!pairs && columns % (2 * LANES) == 0) {
    for (int m = 0; m < rows; m++)
      for (int n = 0; n < columns; n += 2 * LANES) {
        const vh2 both = to_halves(load(from + m * stride + n), load(from + m * stride + n + LANES));
        __builtin_memcpy(rows16 + m * rows16_row + n, &both, sizeof both);
      }
    return;
  }
  for (int m = 0; m < rows; m += 2)
    for (int n = 0; n < columns; n += LANES) {
      const vf even = load(from + m * stride + n);
      const vf odd = m + 1 < rows ? load(from + (m + 1) * stride + n) : vf{};
      if (rows16) {
        *reinterpret_cast<vh*>(rows16 + m * rows16_row + n) = to_half(even);
        if (m + 1 < rows) *reinterpret_cast<vh*>(rows16 + (m + 1) * rows16_row + n) = to_half(odd);
      }
      if (pairs) *reinterpret_cast<vu*>(pairs + m / 2 * pairs_row + n) = to_pairs(even, odd);
    }
}

void drop(float* values, size_t stride, const uint8_t* keep, size_t keep_row, int rows, int columns, float kept) {
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < columns; n += LANES) {
      const vi stays = __builtin_convertvector(*reinterpret_cast<const vb*>(keep + m * keep_row + n), vi);
      store(values + m * stride + n, stays != 0 ? load(values + m * stride + n) / kept : vf{});
    }
}

void divide(float* values, size_t stride, int rows, int columns, float by) {
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < columns; n += LANES) store(values + m * stride + n, load(values + m * stride + n) / by);
}

void mark_fired(const float* values, size_t stride, int rows, int columns, uint32_t* fired) {
  for (int n = 0; n < columns; n += LANES) {
    vu any = *reinterpret_cast<const vu*>(fired + n);
    for (int m = 0; m < rows; m++) any |= *reinterpret_cast<const vu*>(values + m * stride + n);
    *reinterpret_cast<vu*>(fired + n) = any;
  }
}

struct Single {  // float32 operands
  static constexpr int kHeight = DENSE_ROWS, kVectors = DENSE_VECTORS;
  typedef float Word __attribute__((may_alias));
  using Vector = vf;
  static INLINE vf add_product(vf sum, Word x, Vector w) { return sum + x * w; }
};
struct Half {  // words of two bfloat16
  static constexpr int kHeight = BLOCK_ROWS, kVectors = BLOCK_VECTORS;
  typedef uint32_t Word __attribute__((may_alias));
  using Vector = vu;
  static INLINE vf add_product(vf sum, Word x, Vector w) { return add_dots(sum, x - vu{}, w); }
};

void column_sums(const float* a, size_t stride, int rows, int columns, float* sums, bool accumulate) {
  for (int n = 0; n < columns; n += LANES) {
    vf s0 = accumulate ? load(sums + n) : vf{}, s1{};
    int m = 0;
    for (; m + 1 < rows; m += 2) {
      s0 += load(a + m * stride + n);
      s1 += load(a + (m + 1) * stride + n);
    }
    if (m < rows) s0 += load(a + m * stride + n);
    store(sums + n, s0 + s1);
  }
}

void pack_block(const Product& p, int m0, int n0, const float* values, size_t stride, int rows, int columns) {
  pack(values, stride, rows, columns, p.rows16 ? p.rows16 + m0 * p.rows16_row + n0 : nullptr, p.rows16_row,
       p.pairs ? p.pairs + m0 / 2 * p.pairs_row + n0 : nullptr, p.pairs_row);
}

// What is done with a finished block of rows x columns at (m0, n0) of C, while it lies in L1 at `values`.
void finish_block(const Product& p, int m0, int n0, float* values, size_t stride, int rows, int columns) {
  const size_t at = m0 * p.slopes_row + n0;
  if (p.learned && !p.learned_sums)
    prelu_forward(values, stride, p.slopes ? p.slopes + at : nullptr, p.slopes_row, rows, columns, p.learned + n0);
  if (p.finish) {
    void* slopes = nullptr;
    if (p.slopes) slopes = p.slopes + at;
    else if (p.slopes16) slopes = const_cast<uint16_t*>(p.slopes16 + at);
    p.finish(values, stride, slopes, p.slopes_row, rows, columns, p.parameter);
  }
  if (p.keep) drop(values, stride, p.keep + m0 * p.keep_row + n0, p.keep_row, rows, columns, p.kept);
  else if (p.kept != 0.f) divide(values, stride, rows, columns, p.kept);
  if (p.learned_sums)  // from errors that went through dropout
    prelu_backward(values, stride, p.slopes + at, p.slopes_row, rows, columns, p.learned + n0, p.learned_sums + n0);
  if (p.fired) mark_fired(values, stride, rows, columns, p.fired + n0);
  if (p.sums) column_sums(values, stride, rows, columns, p.sums + n0, true);
  if (p.rows16 || p.pairs) pack_block(p, m0, n0, values, stride, rows, columns);
}

#include "products_impl.h"

double burn(int rounds) {
  constexpr int kChains = 12;  // a latency of 4 or 5 cycles, two a cycle
  volatile float one = 1.f;  // so that nothing is known of the chains before they run
  vf sum[kChains];
  for (int chain = 0; chain < kChains; chain++) sum[chain] = spread(one * static_cast<float>(chain));
  const vf x = spread(one), y = spread(one * 1e-9f);
  for (int i = 0; i < rounds; i++)
#pragma GCC unroll 12
    for (int chain = 0; chain < kChains; chain++) sum[chain] = sum[chain] * x + y;
  for (int chain = 1; chain < kChains; chain++) sum[0] += sum[chain];
  return total(sum[0]) >= 0.f ? 2.0 * kChains * LANES * rounds : 0;
}

// -------------------------------------------------------------------------------------------------- updates
void add(float* into, const float* from, size_t count) {
  for (size_t i = 0; i < count; i += LANES) store(into + i, load(into + i) + load(from + i));
}

void blend(float* into, const float* x, float a, const float* y, float b, size_t count) {
  for (size_t i = 0; i < count; i += LANES) {
    const vf scaled = load(x + i) * a;
    store(into + i, b == 0.f ? scaled : scaled + load(y + i) * b);
  }
}

double square_sum(const float* values, size_t count) {
  vf sum{};  // spans are blocks of 16 rows, so each lane adds a few hundred squares at most per 5,000 values
  for (size_t i = 0; i < count; i += LANES) sum += load(values + i) * load(values + i);
  return double(total(sum));
}

void adam(float* w, float* m, float* v, const float* g, size_t count, const Update& u) {
  for (size_t i = 0; i < count; i += LANES) {
    const vf slope = load(g + i) * u.scale;
    const vf first = load(m + i) + u.first_rest * (slope - load(m + i));
    const vf second = load(v + i) * u.second + u.second_rest * slope * slope;
    store(m + i, first);
    store(v + i, second);
    store(w + i, load(w + i) * u.shrink - u.rate * first / (root(second) * u.root + u.epsilon));
  }
}

void sgd(float* w, float* buffer, const float* g, size_t count, const Update& u) {
  for (size_t i = 0; i < count; i += LANES) {
    vf slope = load(g + i) * u.scale;
    if (buffer) {  // it starts at 0, so that the first step puts the gradient itself there, as PyTorch does
      slope += load(buffer + i) * u.first;
      store(buffer + i, slope);
    }
    store(w + i, load(w + i) - u.rate * slope);
  }
}

void transpose(const float* from, size_t from_row, int rows, int columns, float* into, size_t into_row) {
  constexpr int kTile = 16;  // one cache line each way
  for (int r0 = 0; r0 < rows; r0 += kTile)
    for (int c0 = 0; c0 < columns; c0 += kTile) {
      const int r1 = r0 + kTile < rows ? r0 + kTile : rows, c1 = c0 + kTile < columns ? c0 + kTile : columns;
      for (int c = c0; c < c1; c++)
        for (int r = r0; r < r1; r++) into[c * into_row + r] = from[r * from_row + c];
    }
}

// ----------------------------------------------------------------------------------------- one sample at a time
constexpr int kWide = LANES == 16 ? 20 : 8;  // vectors of z kept in registers: a 300-wide layer in one sweep

template <int kVectors>
INLINE void row_block(const float* x, int depth, const float* w, size_t stride, const float* bias, float* z) {
  vf sum[kVectors];
#pragma GCC unroll 32
  for (int n = 0; n < kVectors; n++) sum[n] = load(bias + n * LANES);
  for (int k = 0; k < depth; k++) {
    if (x[k] == 0.f) continue;
    const vf xk = spread(x[k]);
    const float* row = w + k * stride;
#pragma GCC unroll 32
    for (int n = 0; n < kVectors; n++) sum[n] += xk * load(row + n * LANES);
  }
#pragma GCC unroll 32
  for (int n = 0; n < kVectors; n++) store(z + n * LANES, sum[n]);
}

// row_block of any number of vectors up to kVectors.
template <int kVectors>
void row_blocks(int vectors, const float* x, int depth, const float* w, size_t stride, const float* bias, float* z) {
  if (vectors == kVectors) return row_block<kVectors>(x, depth, w, stride, bias, z);
  if constexpr (kVectors > 1) row_blocks<kVectors - 1>(vectors, x, depth, w, stride, bias, z);
}

void row_forward(const float* x, int depth, const float* w, size_t stride, int columns, const float* bias,
                 float* z) {
  for (int n = 0; n < columns;) {
    const int left = (columns - n) / LANES, vectors = left < kWide ? left : kWide;
    row_blocks<kWide>(vectors, x, depth, w + n, stride, bias + n, z + n);
    n += vectors * LANES;
  }
}

template <int kCount, bool kDot>
INLINE void rows_backward(const float* x, float* w, size_t stride, int columns, const float* dz, float rate,
                          float* dx) {
  vf dot[kCount]{}, step[kCount];
#pragma GCC unroll 4
  for (int r = 0; r < kCount; r++) step[r] = spread(rate * x[r]);
  for (int n = 0; n < columns; n += LANES) {
    const vf d = load(dz + n);
#pragma GCC unroll 4
    for (int r = 0; r < kCount; r++) {
      const vf old = load(w + r * stride + n);
      if (kDot) dot[r] += old * d;
      store(w + r * stride + n, old - step[r] * d);
    }
  }
  if (kDot)
#pragma GCC unroll 4
    for (int r = 0; r < kCount; r++) dx[r] = total(dot[r]);
}

template <bool kDot>
void rows_backward_all(const float* x, int depth, float* w, size_t stride, int columns, const float* dz, float rate,
                       float* dx, bool skip) {
  int k = 0;
  const auto into = [&] { return kDot ? dx + k : nullptr; };  // a step from a null pointer is undefined
  if (skip) {
    for (; k < depth; k++) {
      if (x[k] != 0.f) rows_backward<1, kDot>(x + k, w + k * stride, stride, columns, dz, rate, into());
      else if (kDot) dx[k] = 0.f;
    }
    return;
  }
  for (; k + 4 <= depth; k += 4) rows_backward<4, kDot>(x + k, w + k * stride, stride, columns, dz, rate, into());
  for (; k < depth; k++) rows_backward<1, kDot>(x + k, w + k * stride, stride, columns, dz, rate, into());
}

void row_backward(const float* x, int depth, float* w, size_t stride, int columns, const float* dz, float rate,
                  float* dx, bool skip) {
  if (dx) rows_backward_all<true>(x, depth, w, stride, columns, dz, rate, dx, skip);
  else rows_backward_all<false>(x, depth, w, stride, columns, dz, rate, nullptr, skip);
}

#include "columns_impl.h"
#include "grid_impl.h"
#include "hadamard_impl.h"
#include "fastfood_impl.h"
#ifdef TILES
#include "tiles_impl.h"
#define MULTIPLY_HALF tiles::multiply
constexpr bool kHalfIsFast = true;
constexpr bool kPairsFromRows = true;
// With tiles a chunk's gradient, read and written once a chunk, costs more than values that miss L1 for L2: in a
// prototype on a Xeon with 2 MB of L2 a core 512 rows were best for 4x300. This unit has not been timed.
constexpr int kNearFloats = 384 << 10;
#else
#define MULTIPLY_HALF multiply<Half>
constexpr bool kHalfIsFast = HALF_IS_FAST;
constexpr bool kPairsFromRows = false;
// 640 KB beat 3 MB by a tenth on a machine with 1 MB a core whose other cores were busy; alone they were equal. A little
// more lets 4x300 have 96 rows, whole blocks of 6, 8 and 12.
constexpr int kNearFloats = 180 << 10;
#endif

}  // namespace

// In the order of enum Activation.
const Kernels SFUMATO_TABLE = {
    SFUMATO_NAME,
    LANES,
    burn,
    multiply<Single>,
    MULTIPLY_HALF,
    kHalfIsFast,
    kPairsFromRows,
    kNearFloats,
    pack,
    BLOCK_ROWS,
    find_columns,
    take_columns,
    add_columns,
    list_columns,
    drop,
    {nullptr, finish_forward<Relu, false>, finish_forward<LeakyRelu, false>, finish_sine<false, false>,
     finish_sine<true, false>, finish_forward<Gaussian, false>, finish_forward<Tanh, false>,
     finish_forward<Sigmoid, false>, finish_forward<Silu, false>, finish_forward<Gelu, false>, finish_lwta, nullptr},
    {nullptr, finish_forward<Relu, false>, finish_forward<LeakyRelu, false>, finish_sine<false, true>,
     finish_sine<true, true>, finish_forward<Gaussian, true>, finish_forward<Tanh, true>,
     finish_forward<Sigmoid, true>, finish_forward<Silu, true>, finish_forward<Gelu, true>, finish_lwta, nullptr},
    {nullptr, backward_relu<Full>, backward_sign<Full>, backward_slope, backward_slope, backward_slope, backward_slope,
     backward_slope, backward_slope, backward_slope, backward_lwta<Full>, nullptr},
    {nullptr, backward_relu<Packed>, backward_sign<Packed>, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
     nullptr, backward_lwta<Packed>, nullptr},
    column_sums,
    add,
    blend,
    square_sum,
    adam,
    sgd,
    transpose,
    hadamard,
    fastfood_forward,
    fastfood_backward,
    grid_forward,
    grid_backward,
    row_forward,
    row_backward,
};

}  // namespace sfumato
