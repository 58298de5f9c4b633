#include "muon.h"

#include <algorithm>
#include <cmath>

namespace sfumato {
namespace {

constexpr float kA = 3.4445f, kB = -4.7750f, kC = 2.0315f;  // Jordan's coefficients: steepest at 0
constexpr int kPanel = 48;  // rows: three of AVX-512's vectors
constexpr double kSmallest = 1e-7;                          // the norm is taken to be at least this

int round_up(int n, int to) { return (n + to - 1) / to * to; }
uint16_t* halves(const Buffer& b, size_t at) { return reinterpret_cast<uint16_t*>(b.get()) + at; }
uint32_t* words(const Buffer& b, size_t at) { return reinterpret_cast<uint32_t*>(b.get()) + at; }

}  // namespace

Muon::Muon(const Kernels& kernels, Pool& pool, bool half, int steps, int blocks)
    : kernels_(kernels), pool_(pool), half_(half), steps_(steps), blocks_(blocks) {}

int Muon::add(int in, int out, size_t stride) {
  Matrix m{};
  m.in = in, m.out = out, m.stride = stride;
  m.scale = static_cast<float>(std::sqrt(std::max(1.0, static_cast<double>(out) / in)));
  m.update = allocate(static_cast<size_t>(round_up(in, kRows)) * stride);
  m.squares.resize(pool_.size());
  const int width = round_up((out + blocks_ - 1) / blocks_, kLine);
  for (int low = 0; low < out; low += width) {
    Part q{};
    q.matrix = static_cast<int>(matrices_.size()), q.low = low, q.width = std::min(width, out - low);
    q.rows = std::max(in, q.width), q.columns = std::min(in, q.width);
    q.x_stride = padded(q.columns), q.x16_row = padded_halves(q.columns);
    const size_t x = round_up(q.rows, kRows) * q.x_stride, s = round_up(q.columns, kRows) * q.x_stride;
    for (Buffer& b : q.x) b = allocate(x);
    q.s = allocate(s), q.p = allocate(s);
    q.squares.resize((q.columns + kPanel - 1) / kPanel);
    if (half_) {
      for (Buffer& b : q.x16) b = allocate(round_up(q.rows, kRows) * q.x16_row / 2);
      q.x_pairs = allocate(x / 2);
      q.s16 = allocate(round_up(q.columns, kRows) * q.x16_row / 2), q.s_pairs = allocate(s / 2);
      q.p16 = allocate(round_up(q.columns, kRows) * q.x16_row / 2), q.p_pairs = allocate(s / 2);
    }
    parts_.push_back(std::move(q));
  }
  matrices_.push_back(std::move(m));
  return static_cast<int>(matrices_.size()) - 1;
}

Muon::Range Muon::share(int t, int rows) const {
  const int blocks = round_up(rows, kRows) / kRows, T = pool_.size();
  return {blocks * t / T * kRows, blocks * (t + 1) / T * kRows};
}

void Muon::orthogonalize(int t) {
  for (Part& p : parts_) {  // one after the other: three matrices do not fit into a core's cache
    start(t, p);
    pool_.barrier();
    for (int i = 0; i < steps_; i++) {
      square(t, p, p.x[i & 1].get());
      pool_.barrier();
      const double scale = i == 0 ? normalize(t, p) : 1;
      polynomial(t, p, scale);
      pool_.barrier();
      step(t, p, i & 1, scale);
      pool_.barrier();
    }
    finish(t, p, steps_ & 1);
  }
  pool_.barrier();
}

// The first polynomial is that of x / n, n = |x^T x| ^ 1/2: n is no less than the largest singular value of x, and
// much nearer to it than |x|. Returns 1 / n: all threads add the panels' sums in the same order.
double Muon::normalize(int t, Part& p) const {
  panels(t, p, [&](int low, int high) {
    double sum = 0;
    const int end = round_up(p.columns, kLine), own = high < p.columns ? high : end;  // padding is 0
    for (int r = low; r < std::min(high, p.columns); r++) {
      const float* s = p.s.get() + r * p.x_stride;
      sum += kernels_.square_sum(s + low, own - low) + 2 * kernels_.square_sum(s + own, end - own);
    }
    p.squares[low / kPanel] = sum;
  });
  pool_.barrier();
  double sum = 0;
  for (double part : p.squares) sum += part;
  return 1 / std::max(std::sqrt(std::sqrt(sum)), kSmallest);
}

// x = update / |update|, turned so that it has at least as many rows as columns.
void Muon::start(int t, Part& m) {
  const Matrix& whole = matrices_[m.matrix];
  double squares = 0;
  for (double part : whole.squares) squares += part;
  const float scale = static_cast<float>(1 / std::max(std::sqrt(squares), kSmallest));
  const auto [low, high] = share(t, m.rows);
  const int end = std::min(high, m.rows);
  for (int r = low; r < end; r++) {
    float* x = m.x[0].get() + r * m.x_stride;
    const float* update = whole.update.get() + m.low;
    if (m.rows == whole.in) {
      kernels_.blend(x, update + r * whole.stride, scale, x, 0, round_up(m.columns, kLine));
    } else {
      for (int c = 0; c < m.columns; c++) x[c] = scale * update[c * whole.stride + r];
    }
  }
  if (half_ && low < high) {
    const size_t at = low * m.x_stride;
    kernels_.pack(m.x[0].get() + at, m.x_stride, high - low, round_up(m.columns, kLine),
                  halves(m.x16[0], low * m.x16_row), m.x16_row, words(m.x_pairs, at / 2), m.x_stride);
  }
}

// Rows [low, high) of a symmetric square, from column `low` on: dealt there and back, as the first are the longest.
template <class Work>
void Muon::panels(int t, const Part& m, const Work& work) const {
  const int T = pool_.size(), rows = round_up(m.columns, kRows);
  for (int i = 0, low = 0; low < rows; i++, low += kPanel) {
    const int turn = i % (2 * T);
    if ((turn < T ? turn : 2 * T - 1 - turn) == t) work(low, std::min(low + kPanel, rows));
  }
}

// What panels have left out of a square: the columns [low, high) below them. Packed, a word of a row holds the same
// two numbers as the word of a column in pairs.
void Muon::mirror(const Part& m, float* square, int low, int high) const {
  const size_t across = low * m.x_stride + high, down = high * m.x_stride + low;
  kernels_.transpose(square + across, m.x_stride, high - low, below(m, high), square + down, m.x_stride);
}
void Muon::mirror(const Part& m, float* rows16, float* pairs, int low, int high) const {
  const size_t row = m.x16_row / 2;
  kernels_.transpose(rows16 + low * row + high / 2, row, high - low, below(m, high) / 2,
                     pairs + high / 2 * m.x_stride + low, m.x_stride);
}

// s = x^T x: both operands are read with k running down the rows.
void Muon::square(int t, Part& m, const float* x) {
  panels(t, m, [&](int low, int high) {
    const size_t at = low * m.x_stride + low;
    Product p{};
    p.rows = high - low, p.columns = round_up(m.columns, kLine) - low, p.depth = m.rows;
    p.a = x + low, p.a_row = 1, p.a_step = m.x_stride;
    p.b = x + low, p.b_row = m.x_stride;
    p.c = m.s.get() + at, p.c_row = m.x_stride;
    if (half_) {
      p.depth = (m.rows + 1) / 2, p.a = p.b = m.x_pairs.get() + low;
      p.rows16 = halves(m.s16, low * m.x16_row + low), p.rows16_row = m.x16_row;
      p.pairs = words(m.s_pairs, low / 2 * m.x_stride + low), p.pairs_row = m.x_stride;
    }
    multiply(p);
    if (!half_) return mirror(m, m.s.get(), low, high);
    mirror(m, m.s16.get(), m.s_pairs.get(), low, high);
    // and the rows' words are those of the columns' pairs
    kernels_.transpose(m.s_pairs.get() + low / 2 * m.x_stride + high, m.x_stride, (high - low) / 2, below(m, high),
                       m.s16.get() + high * (m.x16_row / 2) + low / 2, m.x16_row / 2);
  });
}

// p = b s + c s s, of x times `scale`
void Muon::polynomial(int t, Part& m, double scale) {
  const double cube = scale * scale * scale;
  const float b = static_cast<float>(kB * cube), c = static_cast<float>(kC * cube * scale * scale);
  panels(t, m, [&](int low, int high) {
    const size_t at = low * m.x_stride + low;
    float* into = m.p.get() + at;
    Product p{};
    p.rows = high - low, p.columns = round_up(m.columns, kLine) - low, p.depth = m.columns;
    p.a = m.s.get() + low * m.x_stride, p.a_row = m.x_stride, p.a_step = 1;
    p.b = m.s.get() + low, p.b_row = m.x_stride;
    p.c = into, p.c_row = m.x_stride;
    if (half_) {
      p.depth = (m.columns + 1) / 2;
      p.a = m.s16.get() + low * m.x16_row / 2, p.a_row = m.x16_row / 2;
      p.b = m.s_pairs.get() + low;
    }
    multiply(p);
    for (int r = 0; r < p.rows; r++, into += m.x_stride)
      kernels_.blend(into, m.s.get() + at + r * m.x_stride, b, into, c, p.columns);
    if (!half_) return mirror(m, m.p.get(), low, high);
    kernels_.pack(m.p.get() + at, m.x_stride, p.rows, p.columns, halves(m.p16, low * m.x16_row + low), m.x16_row,
                  words(m.p_pairs, low / 2 * m.x_stride + low), m.x_stride);
    mirror(m, m.p16.get(), m.p_pairs.get(), low, high);
  });
}

// The other x = a x + x p. The sum starts from x in float32: were a part of p, x would be rounded to 8 bits, and the
// directions in which it is a thousandth of its largest would be lost (the result was 19 % off).
void Muon::step(int t, Part& m, int from, double scale) {
  const auto [low, high] = share(t, m.rows);
  if (low == high) return;
  const size_t at = low * m.x_stride;
  const float* x = m.x[from].get() + at;
  Product p{};
  p.rows = high - low, p.columns = round_up(m.columns, kLine), p.depth = m.columns;
  p.a = x, p.a_row = m.x_stride, p.a_step = 1;
  p.b = m.p.get(), p.b_row = m.x_stride;
  p.c = m.x[1 - from].get() + at, p.c_row = m.x_stride, p.accumulate = true;
  kernels_.blend(p.c, x, static_cast<float>(kA * scale), x, 0, (high - low) * m.x_stride);
  if (half_) {
    p.depth = (m.columns + 1) / 2, p.a = m.x16[from].get() + low * m.x16_row / 2, p.a_row = m.x16_row / 2;
    p.b = m.p_pairs.get();
    p.rows16 = halves(m.x16[1 - from], low * m.x16_row), p.rows16_row = m.x16_row;
    p.pairs = words(m.x_pairs, at / 2), p.pairs_row = m.x_stride;
  }
  multiply(p);
}

// Back into `update`, in its own orientation.
void Muon::finish(int t, const Part& m, int last) {
  Matrix& whole = matrices_[m.matrix];
  const auto [low, high] = share(t, whole.in);
  const float* x = m.x[last].get();
  for (int r = low; r < std::min(high, whole.in); r++) {
    float* into = whole.update.get() + r * whole.stride + m.low;
    for (int c = 0; c < m.width; c++) into[c] = m.rows == whole.in ? x[r * m.x_stride + c] : x[c * m.x_stride + r];
  }
}

}  // namespace sfumato
