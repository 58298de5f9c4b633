#include "muon.h"

#include <algorithm>
#include <cmath>

namespace sfumato {
namespace {

constexpr int kSteps = 5;
constexpr float kA = 3.4445f, kB = -4.7750f, kC = 2.0315f;  // Jordan's coefficients: steepest at 0
constexpr double kSmallest = 1e-7;                          // the norm is taken to be at least this

int round_up(int n, int to) { return (n + to - 1) / to * to; }
uint16_t* halves(const Buffer& b, size_t at) { return reinterpret_cast<uint16_t*>(b.get()) + at; }
uint32_t* words(const Buffer& b, size_t at) { return reinterpret_cast<uint32_t*>(b.get()) + at; }

}  // namespace

Muon::Muon(const Kernels& kernels, Pool& pool, bool half) : kernels_(kernels), pool_(pool), half_(half) {}

int Muon::add(int in, int out, size_t stride) {
  Matrix m{};
  m.in = in, m.out = out, m.stride = stride;
  m.rows = std::max(in, out), m.columns = std::min(in, out);
  m.x_stride = padded(m.columns);
  m.scale = static_cast<float>(std::sqrt(std::max(1.0, static_cast<double>(out) / in)));
  const size_t x = round_up(m.rows, kRows) * m.x_stride, s = round_up(m.columns, kRows) * m.x_stride;
  m.update = allocate(static_cast<size_t>(round_up(in, kRows)) * stride);
  for (Buffer& b : m.x) b = allocate(x);
  m.s = allocate(s), m.p = allocate(s);
  if (half_) {
    for (Buffer& b : m.x16) b = allocate(x / 2);
    m.x_pairs = allocate(x / 2);
    m.s16 = allocate(s / 2), m.s_pairs = allocate(s / 2), m.p_pairs = allocate(s / 2);
  }
  m.squares.resize(pool_.size());
  matrices_.push_back(std::move(m));
  return static_cast<int>(matrices_.size()) - 1;
}

Muon::Range Muon::share(int t, int rows) const {
  const int blocks = round_up(rows, kRows) / kRows, T = pool_.size();
  return {blocks * t / T * kRows, blocks * (t + 1) / T * kRows};
}

void Muon::orthogonalize(int t) {
  for (Matrix& m : matrices_) start(t, m);
  pool_.barrier();
  for (int i = 0; i < kSteps; i++) {
    for (Matrix& m : matrices_) square(t, m, m.x[i & 1].get());
    pool_.barrier();
    for (Matrix& m : matrices_) polynomial(t, m);
    pool_.barrier();
    for (Matrix& m : matrices_) step(t, m, i & 1);
    pool_.barrier();
  }
  for (Matrix& m : matrices_) finish(t, m, kSteps & 1);
  pool_.barrier();
}

// x = update / |update|, turned so that it has at least as many rows as columns.
void Muon::start(int t, Matrix& m) {
  double squares = 0;
  for (double part : m.squares) squares += part;
  const float scale = static_cast<float>(1 / std::max(std::sqrt(squares), kSmallest));
  const auto [low, high] = share(t, m.rows);
  const int end = std::min(high, m.rows);
  for (int r = low; r < end; r++) {
    float* x = m.x[0].get() + r * m.x_stride;
    if (m.rows == m.in) {
      kernels_.blend(x, m.update.get() + r * m.stride, scale, x, 0, round_up(m.columns, kLine));
    } else {
      for (int c = 0; c < m.columns; c++) x[c] = scale * m.update[c * m.stride + r];
    }
  }
  if (half_ && low < high) {
    const size_t at = low * m.x_stride;
    kernels_.pack(m.x[0].get() + at, m.x_stride, high - low, round_up(m.columns, kLine), halves(m.x16[0], at),
                  words(m.x_pairs, at / 2));
  }
}

// s = x^T x: both operands are read with k running down the rows.
void Muon::square(int t, Matrix& m, const float* x) {
  const auto [low, high] = share(t, m.columns);
  const size_t at = low * m.x_stride;
  Product p{};
  p.rows = high - low, p.columns = round_up(m.columns, kLine), p.depth = m.rows;
  p.a = x + low, p.a_row = 1, p.a_step = m.x_stride;
  p.b = x, p.b_row = m.x_stride;
  p.c = m.s.get() + at, p.c_row = m.x_stride;
  if (half_) {
    p.depth = (m.rows + 1) / 2, p.a = m.x_pairs.get() + low, p.b = m.x_pairs.get();
    p.rows16 = halves(m.s16, at), p.pairs = words(m.s_pairs, at / 2);
  }
  multiply(p);
}

// p = b s + c s s
void Muon::polynomial(int t, Matrix& m) {
  const auto [low, high] = share(t, m.columns);
  const size_t at = low * m.x_stride;
  Product p{};
  p.rows = high - low, p.columns = round_up(m.columns, kLine), p.depth = m.columns;
  p.a = m.s.get() + at, p.a_row = m.x_stride, p.a_step = 1;
  p.b = m.s.get(), p.b_row = m.x_stride;
  p.c = m.p.get() + at, p.c_row = m.x_stride;
  if (half_) p.depth = (m.columns + 1) / 2, p.a = m.s16.get() + at / 2, p.a_row = m.x_stride / 2, p.b = m.s_pairs.get();
  multiply(p);
  if (low == high) return;
  kernels_.blend(p.c, m.s.get() + at, kB, p.c, kC, (high - low) * m.x_stride);
  if (half_) kernels_.pack(p.c, m.x_stride, high - low, p.columns, nullptr, words(m.p_pairs, at / 2));
}

// The other x = a x + x p
void Muon::step(int t, Matrix& m, int from) {
  const auto [low, high] = share(t, m.rows);
  if (low == high) return;
  const size_t at = low * m.x_stride;
  const float* x = m.x[from].get() + at;
  Product p{};
  p.rows = high - low, p.columns = round_up(m.columns, kLine), p.depth = m.columns;
  p.a = x, p.a_row = m.x_stride, p.a_step = 1;
  p.b = m.p.get(), p.b_row = m.x_stride;
  p.c = m.x[1 - from].get() + at, p.c_row = m.x_stride, p.accumulate = true;
  kernels_.blend(p.c, x, kA, x, 0, (high - low) * m.x_stride);
  if (half_) {
    p.depth = (m.columns + 1) / 2, p.a = m.x16[from].get() + at / 2, p.a_row = m.x_stride / 2, p.b = m.p_pairs.get();
    p.rows16 = halves(m.x16[1 - from], at), p.pairs = words(m.x_pairs, at / 2);
  }
  multiply(p);
}

// Back into `update`, in its own orientation.
void Muon::finish(int t, Matrix& m, int last) {
  const auto [low, high] = share(t, m.in);
  const float* x = m.x[last].get();
  for (int r = low; r < std::min(high, m.in); r++) {
    float* into = m.update.get() + r * m.stride;
    for (int c = 0; c < m.out; c++) into[c] = m.rows == m.in ? x[r * m.x_stride + c] : x[c * m.x_stride + r];
  }
}

}  // namespace sfumato
