// Units that are silent on a whole chunk cost nothing, exactly.
//
// A rectified unit is 0 on whole regions of a picture, and so is one that loses to its neighbour (LWTA). Where the rows of
// a minibatch come in an order that keeps neighbours together, half of a layer's units and more are 0 on all rows of a
// chunk: their column of activations adds nothing to the next layer, their errors are 0 because their slope is, and so are
// the gradients of their weights. So a layer's activations and errors hold the columns of its live units only, side by side:
//   forward       the sum over k runs over live units, and for each few rows (list_rows) over those that fire in them;
//                 the weights stay where they are, read through the list
//   input errors  the weights between live units of both layers are put together first (1/64 of the work or less),
//                 and k runs over the same lists
//   gradients     dense among live units, some rows of weights at a time, then added where they belong
// Nothing is approximated: what is left out are products with 0. Only the order of sums differs, of gradients. Where
// nearly all units of a layer are live it is computed as if all were.
#include <algorithm>
#include <cstdlib>

#include "trainer.h"

namespace sfumato {
namespace {

// With more live units than kMostLive of the width less kPrice, putting columns together costs more than it saves.
constexpr double kMostLive = 0.85;
constexpr int kPrice = 16;
constexpr int kStrip = 96;          // rows of weights whose gradient is computed at a time

}  // namespace

// Zeros must be exact. SFUMATO_DENSE: the benchmark's other side.
bool Trainer::skips_silence() const {
  const char* dense = std::getenv("SFUMATO_DENSE");
  const bool exact = settings_.activation == Activation::relu || settings_.activation == Activation::lwta;
  return exact && layers() > 0 && !(dense && *dense && *dense != '0');
}

void Trainer::prepare_silence(Worker& w) const {
  size_t widest = 0, most = 0;
  for (size_t stride : strides_) widest = std::max(widest, stride);
  for (int l = 1; l <= layers(); l++) most = std::max(most, matrices_[l].out * matrices_[l].back_stride);
  w.live.resize(layers());
  for (int l = 0; l < layers(); l++) {
    Live& live = w.live[l];
    live.index.resize(strides_[l] + kLine);
    live.masks.resize(strides_[l] / 8);
    live.lists.resize(chunk_ / kernels_.list_rows * (strides_[l] + kLine));
    live.lengths.resize(chunk_ / kernels_.list_rows);
  }
  w.fired = allocate(widest);
  w.other = allocate(chunk_ * widest);
  w.taken = allocate(most);
  w.products = allocate(kStrip * std::max(widest, out_stride_));
  w.sums = allocate(widest);
}

// Multiplications of a product of a layer with the next; dense: those it stands for if no unit were silent.
void Trainer::count_work(Worker& w, const Matrix& m, const Product& p, double dense) const {
  double depth = static_cast<double>(p.rows) * p.depth;
  if (p.lists) {
    depth = 0;
    for (int b = 0; b < p.rows / kernels_.list_rows; b++) depth += p.lengths[b];
    depth *= kernels_.list_rows;
  }
  w.work.done += (m.half ? 2 : 1) * depth * p.columns, w.work.all += dense;
}

Work Trainer::work() {
  const std::lock_guard guard(lock_);
  Work sum;
  for (const Worker& w : workers_) sum.done += w.work.done, sum.all += w.work.all;
  return sum;
}

// The product's sum runs over live units of a layer: k are their columns. Lists are of floats, or of words of two
// bfloat16 where the next matrix takes these.
void Trainer::read_live(const Live& live, const Matrix& m, Product& p) const {
  p.depth = m.half ? (live.count + 1) / 2 : live.count;
  if (m.half) p.b_floats = live.count;
  if (m.half != (settings_.precision != Precision::float32)) return;
  p.lists = live.lists.data(), p.lengths = live.lengths.data();
  p.list_row = live.lists.size() / live.lengths.size();
}

// Which units of a layer fire, from the bits of its columns; then only their columns are kept.
void Trainer::find_live(Worker& w, int layer, int rows) const {
  Live& live = w.live[layer];
  const int width = settings_.hidden[layer];
  const size_t stride = strides_[layer];
  uint32_t* fired = words(w.fired);
  std::fill(fired + width, fired + stride, 0u);
  live.count = kernels_.find_columns(fired, static_cast<int>(stride), live.index.data(), live.masks.data());
  live.all = live.count > kMostLive * width - kPrice;  // so a line of zeros has room behind the columns
  if (!live.all) {
    kernels_.take_columns(w.post[layer].get(), stride, nullptr, rows, live.columns(), w.other.get(), stride);
    std::swap(w.post[layer], w.other);
  }
  const Matrix& next = matrices_[layer + 1];
  const int kept = columns(live.all ? width : live.count);
  const float* operands = w.post[layer].get();
  size_t row = stride;
  int words_kept = kept;
  if (next.half) {
    row = padded_halves(width) / 2, words_kept = columns(round_up(kept, 2) / 2);
    kernels_.pack(operands, stride, rows, kept, halves(w.in16[layer + 1]), 2 * row, words(w.in_pairs[layer + 1]), stride);
    operands = w.in16[layer + 1].get();
  }
  if (live.all) return;
  kernels_.list_columns(operands, row, rows, words_kept, live.lists.data(), live.lists.size() / live.lengths.size(),
                        live.lengths.data());
  if (!next.half) return;
  for (int b = 0; b < rows / kernels_.list_rows; b++) {  // a vector of words may reach past those that were packed
    const int32_t* list = live.lists.data() + b * (live.lists.size() / live.lengths.size());
    while (live.lengths[b] && list[live.lengths[b] - 1] >= (live.count + 1) / 2) live.lengths[b]--;
  }
}

// The gradient of a matrix: of rows of live units below, in columns of live units above, from activations and errors
// that hold these alone.
void Trainer::weights_live(Worker& w, int matrix, int rows, const float* error, size_t error_stride) const {
  const Matrix& m = matrices_[matrix];
  const bool inner = matrix >= 1 && matrix <= layers();  // not of the features
  const Live* below = inner && !w.live[matrix - 1].all ? &w.live[matrix - 1] : nullptr;
  const Live* above = matrix < layers() && !w.live[matrix].all ? &w.live[matrix] : nullptr;
  float* gradient = w.gradients[matrix].get() + m.stride;
  const int in = below ? below->count : m.in, out = columns(above ? above->count : m.out);
  Product p{};
  p.depth = rows;
  p.a_row = 1, p.a_step = inner ? strides_[matrix - 1] : x_stride_;
  p.b = error, p.b_row = error_stride, p.columns = out;
  const float* input = inner ? w.post[matrix - 1].get() : w.x.get();
  int per_word = 1;  // columns in a word of `input`
  if (m.half) {
    p.depth = rows / 2, p.samples_down = kernels_.pairs_from_rows;
    input = (p.samples_down ? w.in16 : w.in_pairs)[matrix].get();
    p.b = (p.samples_down ? w.error16 : w.error_pairs)[matrix & 1].get();
    if (p.samples_down) p.a_step = padded_halves(m.in), p.b_row = padded_halves(m.out), per_word = 2;
  }
  const auto run = [&](double dense) {
    if (inner) count_work(w, m, p, dense);
    product(m)(p);
  };
  const double dense = static_cast<double>(rows) * columns(m.out) * round_up(m.in, kRows);
  if (!below && !above) {
    p.a = input, p.rows = round_up(in, kRows);
    p.c = gradient, p.c_row = m.stride, p.accumulate = true;
    return run(dense);
  }
  p.c = w.products.get(), p.c_row = m.stride;
  const Columns wanted = above ? above->columns() : Columns{out, nullptr, nullptr};
  for (int low = 0; low < in; low += kStrip) {
    const int here = std::min(kStrip, in - low);
    p.a = input + low / per_word, p.rows = round_up(here, kRows);
    run(low ? 0 : dense);
    kernels_.add_columns(p.c, p.c_row, here, wanted, below ? below->index.data() + low : nullptr,
                         below ? gradient : gradient + low * m.stride, m.stride);
  }
}

void Trainer::pack_errors(Worker& w, int matrix, const float* error, size_t error_stride, int rows) const {
  const Matrix& m = matrices_[matrix];
  if (m.half)
    kernels_.pack(error, error_stride, rows, columns(m.out), halves(w.error16[matrix & 1]), padded_halves(m.out),
                  words(w.error_pairs[matrix & 1]), m.stride);
}

// As `backward`, with activations and errors of live units only.
void Trainer::backward_live(Worker& w, int rows, bool first, size_t low) const {
  const int L = layers(), C = settings_.outputs;
  if (first)
    for (size_t i = 0; i < matrices_.size(); i++) {
      float* gradient = w.gradients[i].get();
      std::fill(gradient, gradient + matrices_[i].count(), 0.f);
    }
  if (settings_.skip) weights_live(w, L + 1, rows, w.out.get(), out_stride_);
  const float* error = w.out.get();
  size_t error_stride = out_stride_;
  kernels_.column_sums(error, error_stride, rows, columns(C), w.gradients[L].get(), true);
  pack_errors(w, L, error, error_stride, rows);
  for (int l = L; l >= 0; l--) {
    const Matrix& m = matrices_[l];
    weights_live(w, l, rows, error, error_stride);
    if (l == 0) {
      if (wants_dx()) input_gradient(w, rows, error, error_stride, low);
      break;
    }
    const Live& below = w.live[l - 1];
    Product p{};
    p.rows = rows, p.columns = columns(below.all ? m.in : below.count), p.depth = m.out;
    p.a = error, p.a_row = error_stride, p.a_step = 1;
    p.b = m.back.get(), p.b_row = m.back_stride;
    int live_above = m.out;
    if (m.half) {
      p.depth = (m.out + 1) / 2, p.b_floats = m.out;
      p.a = w.error16[l & 1].get(), p.a_row = padded_halves(m.out) / 2;
    }
    const int32_t* above = l < L && !w.live[l].all ? w.live[l].index.data() : nullptr;
    if (above) read_live(w.live[l], m, p), live_above = w.live[l].count;
    if (!below.all) {
      kernels_.take_columns(p.b, p.b_row, above, live_above, below.columns(), w.taken.get(), p.b_row);
      p.b = w.taken.get();
    } else {
      p.b_rows = above;
    }
    const Matrix& before = matrices_[l - 1];
    p.c = before.half ? nullptr : w.errors[l & 1].get(), p.c_row = strides_[l - 1];
    if (before.half) {
      p.rows16 = halves(w.error16[(l - 1) & 1]), p.rows16_row = padded_halves(before.out);
      p.pairs = words(w.error_pairs[(l - 1) & 1]), p.pairs_row = before.stride;
    }
    p.finish = kernels_.backward[static_cast<int>(settings_.activation)];
    p.slopes = w.post[l - 1].get(), p.slopes_row = strides_[l - 1];
    if (kept(l - 1, low)) p.kept = 1 - settings_.dropped_hidden;  // what was dropped is 0, and so is its slope
    float* biases = w.gradients[l - 1].get();
    p.sums = below.all ? biases : w.sums.get();
    if (!below.all) std::fill(p.sums, p.sums + p.columns, 0.f);
    count_work(w, m, p, static_cast<double>(rows) * m.out * columns(m.in));
    product(m)(p);
    if (!below.all) kernels_.add_columns(p.sums, 0, 1, below.columns(), nullptr, biases, 0);
    error = p.c, error_stride = p.c_row;
  }
}

}  // namespace sfumato
