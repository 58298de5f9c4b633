// One chunk of rows through the net and back.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "trainer.h"

namespace sfumato {
namespace {

// Rows of few floats: two are one move.
void copy_rows(const float* from, size_t from_row, int rows, int columns, float* into, size_t into_row) {
  if (columns == 2) {
    for (int r = 0; r < rows; r++) std::memcpy(into + r * into_row, from + r * from_row, 2 * sizeof(float));
    return;
  }
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++) into[r * into_row + c] = from[r * from_row + c];
}

}  // namespace

// Rows of `features` into w.x: those named by `rows`, or `count` rows from `base`; of a grid, the points looked up from
// `at` on. Rows up to `padded` hold ordinary numbers; their errors are set to 0.
void Trainer::load(Worker& w, const float* features, const int32_t* rows, size_t base, int count, int padded,
                   size_t at) const {
  const int D = settings_.inputs, F = settings_.grid.features;
  float* into = w.x.get();
  for (int r = count; r < padded; r++) std::fill(into + r * x_stride_, into + r * x_stride_ + D, 0.f);
  if (has_grid()) {
    for (size_t l = 0; l < levels_.size(); l++) {
      const float* from = w.looked_up.data() + (l * w.points + at) * F;
      copy_rows(from, F, count, F, into + l * F, x_stride_);
    }
    return;
  }
  for (int r = 0; r < count; r++) {
    const float* source = features + (rows ? static_cast<size_t>(rows[r]) : base + r) * D;
    for (int i = 0; i < D; i++) into[r * x_stride_ + i] = source[i];
  }
}

void Trainer::add_points(Worker& w, const float* features, const int32_t* rows, size_t base, size_t count) const {
  for (size_t r = 0; r < count; r++) {
    const float* point = features + 2 * (rows ? static_cast<size_t>(rows[r]) : base + r);
    w.xs[w.points + r] = point[0], w.ys[w.points + r] = point[1];
  }
  w.points += count;
}

void Trainer::look_up(Worker& w) const {
  const size_t each = w.points * settings_.grid.features;
  for (size_t l = 0; l < levels_.size(); l++)
    kernels_.grid_forward(levels_[l], settings_.grid.features, table_.values.get(), w.xs.data(), w.ys.data(), w.points,
                          w.looked_up.data() + l * each);
}

void Trainer::keep_errors(Worker& w, int count, size_t at) const {
  const int F = settings_.grid.features;
  for (size_t l = 0; l < levels_.size(); l++) {
    float* into = w.looked_up.data() + (l * w.points + at) * F;
    copy_rows(w.dx.get() + l * F, x_stride_, count, F, into, F);
  }
}

// first: it is set, not added to.
void Trainer::table_gradient(Worker& w, bool first) {
  const size_t each = w.points * settings_.grid.features;
  if (first) std::fill(w.table.get(), w.table.get() + table_.count, 0.f);
  for (size_t l = 0; l < levels_.size(); l++)
    kernels_.grid_backward(levels_[l], settings_.grid.features, w.xs.data(), w.ys.data(), w.points,
                           w.looked_up.data() + l * each, w.cells.data(), w.table.get());
}

// Layers 0 ... last of the rows in w.x; last = layers() is the readout. last_pre: leave that layer's
// pre-activations. slopes: keep what the backward pass needs.
void Trainer::forward(Worker& w, int rows, int last, bool last_pre, bool slopes, size_t low) const {
  const int a = static_cast<int>(settings_.activation);
  if (const uint8_t* keep = kept(-1, low))
    kernels_.drop(w.x.get(), x_stride_, keep, x_stride_, rows, columns(settings_.inputs), 1 - settings_.dropped_inputs);
  if (matrices_[0].half)
    kernels_.pack(w.x.get(), x_stride_, rows, columns(settings_.inputs), halves(w.in16[0]),
                  padded_halves(settings_.inputs), words(w.in_pairs[0]), matrices_[0].back_stride);
  for (int l = 0; l <= last; l++) {
    const Matrix& m = matrices_[l];
    const bool readout = l == layers(), packed = !readout && l < last && matrices_[l + 1].paired;
    Product p{};
    p.rows = rows, p.columns = columns(m.out), p.depth = m.in;
    p.a = l ? w.post[l - 1].get() : w.x.get();
    p.a_row = l ? strides_[l - 1] : x_stride_, p.a_step = 1;
    p.b = m.weights(), p.b_row = m.stride;
    if (m.half) {
      p.depth = (m.in + 1) / 2;
      p.a = w.in16[l].get(), p.a_row = padded_halves(m.in) / 2;
      if (m.paired) p.b = m.pairs.get();
      else p.b_floats = m.in;
    }
    p.c = readout ? w.out.get() : packed ? nullptr : w.post[l].get();
    p.c_row = readout ? out_stride_ : strides_[l];
    p.bias = m.bias();
    if (!readout && !(last_pre && l == last)) {
      p.finish = slopes ? kernels_.forward_with_slope[a] : kernels_.forward[a];
      p.slopes = slopes ? w.slopes[l].get() : nullptr, p.slopes_row = strides_[l];
      if (learns_slopes()) p.learned = slopes_.values.get() + slopes_at_[l];
      p.parameter = settings_.parameter;
      p.keep = kept(l, low), p.keep_row = strides_[l], p.kept = p.keep ? 1 - settings_.dropped_hidden : 0;
    }
    if (packed) {
      p.rows16 = halves(w.in16[l + 1]), p.rows16_row = padded_halves(m.out);
      if (slopes) p.pairs = words(w.in_pairs[l + 1]), p.pairs_row = strides_[l];
    }
    if (skipping_ && l && !w.live[l - 1].all) {
      read_live(w.live[l - 1], m, p);
      p.b_rows = w.live[l - 1].index.data();
    }
    const bool seeks = skipping_ && !readout && l < last;
    if (seeks) p.fired = words(w.fired), std::fill(p.fired, p.fired + strides_[l], 0u);
    if (skipping_ && l) count_work(w, m, p, static_cast<double>(rows) * m.in * p.columns);
    product(m)(p);
    if (seeks) find_live(w, l, rows);
    if (readout && settings_.skip) {
      const Matrix& skip = matrices_[l + 1];
      Product q{};
      q.rows = rows, q.columns = columns(skip.out), q.depth = skip.in;
      q.a = w.x.get(), q.a_row = x_stride_, q.a_step = 1;
      q.b = skip.weights(), q.b_row = skip.stride;
      q.c = w.out.get(), q.c_row = out_stride_, q.accumulate = true;
      kernels_.multiply(q);
    }
  }
}

// The outputs in w.out become the gradient of the minibatch's loss with respect to them; returns the chunk's
// share of the loss. each: the loss of each row alone, unless null.
double Trainer::errors(Worker& w, const int32_t* rows, int count, int padded, size_t minibatch, float* each) const {
  const int C = settings_.outputs;
  const double n = static_cast<double>(minibatch);
  double sum = 0;
  for (int r = count; r < padded; r++) std::fill(w.out.get() + r * out_stride_, w.out.get() + r * out_stride_ + C, 0.f);
  const float scale = static_cast<float>(settings_.loss == Loss::mse  ? 2 / (n * C)
                                         : settings_.loss == Loss::l1 ? 1 / (n * C)
                                                                      : 1 / n);
  const double share = settings_.loss == Loss::half_square      ? 0.5
                       : settings_.loss == Loss::cross_entropy ? 1
                                                               : 1.0 / C;
  constexpr int kAhead = 16;  // targets lie anywhere
  for (int r = 0; r < count; r++) {
    float* out = w.out.get() + r * out_stride_;
    const float* target = targets_.data() + static_cast<size_t>(rows[r]) * C;
    if (r + kAhead < count) __builtin_prefetch(targets_.data() + static_cast<size_t>(rows[r + kAhead]) * C);
    double own = 0;
    switch (settings_.loss) {
      case Loss::mse:
      case Loss::half_square: {
        float squares = 0;  // of one row; rows are summed in double
        for (int c = 0; c < C; c++) {
          const float d = out[c] - target[c];
          squares += d * d;
          out[c] = d * scale;
        }
        own = squares;
        break;
      }
      case Loss::l1: {
        for (int c = 0; c < C; c++) {
          const float d = out[c] - target[c];
          own += std::fabs(d);
          out[c] = d > 0 ? scale : d < 0 ? -scale : d * 0.f;  // NaN stays NaN
        }
        break;
      }
      case Loss::cross_entropy: {
        float most = out[0];
        for (int c = 1; c < C; c++) most = std::max(most, out[c]);
        double total = 0, mass = 0;
        for (int c = 0; c < C; c++) total += std::exp(static_cast<double>(out[c] - most));
        const double log_total = std::log(total);
        for (int c = 0; c < C; c++) {
          w.target[c] = target[c] * (1 - settings_.smoothing) + settings_.smoothing / static_cast<float>(C);
          mass += w.target[c];
        }
        for (int c = 0; c < C; c++) {
          const double log_share = static_cast<double>(out[c] - most) - log_total;
          own -= w.target[c] * log_share;
          out[c] = static_cast<float>((std::exp(log_share) * mass - w.target[c]) / n);
        }
        break;
      }
    }
    sum += own;
    if (each) each[r] = static_cast<float>(share * own);
  }
  return share * sum / n;
}

// From the errors of the outputs in w.out to the gradients of all parameters. first: they are set, not added to.
void Trainer::backward(Worker& w, int rows, bool first, size_t low) const {
  if (skipping_) return backward_live(w, rows, first, low);
  const int a = static_cast<int>(settings_.activation);
  const auto weights = [&](int i, const float* input, size_t input_stride, const float* error, size_t error_stride) {
    const Matrix& m = matrices_[i];
    Product p{};
    p.rows = round_up(m.in, kRows), p.columns = columns(m.out), p.depth = rows;
    p.a = input, p.a_row = 1, p.a_step = input_stride;
    p.b = error, p.b_row = error_stride;
    p.c = w.gradients[i].get() + m.stride, p.c_row = m.stride, p.accumulate = !first;
    if (m.half) {
      p.depth = rows / 2, p.samples_down = kernels_.pairs_from_rows;
      p.a = (p.samples_down ? w.in16 : w.in_pairs)[i].get();
      p.a_step = p.samples_down ? padded_halves(m.in) : input_stride;
      p.b = (p.samples_down ? w.error16 : w.error_pairs)[i & 1].get();
      p.b_row = p.samples_down ? padded_halves(m.out) : error_stride;
    }
    product(m)(p);
  };
  if (settings_.skip) weights(layers() + 1, w.x.get(), x_stride_, w.out.get(), out_stride_);
  const float* error = w.out.get();
  size_t error_stride = out_stride_;
  const int C = settings_.outputs;
  kernels_.column_sums(error, error_stride, rows, columns(C), w.gradients[layers()].get(), !first);
  if (const int l = layers(); matrices_[l].half)
    kernels_.pack(error, error_stride, rows, columns(C), halves(w.error16[l & 1]), padded_halves(C),
                  words(w.error_pairs[l & 1]), out_stride_);
  for (int l = layers(); l >= 0; l--) {
    weights(l, l ? w.post[l - 1].get() : w.x.get(), l ? strides_[l - 1] : x_stride_, error, error_stride);
    const Matrix& m = matrices_[l];
    if (l == 0) {
      if (wants_dx()) input_gradient(w, rows, error, error_stride, low);
      break;
    }
    const Matrix& below = matrices_[l - 1];
    Product p{};
    p.rows = rows, p.columns = columns(m.in), p.depth = m.out;
    p.a = error, p.a_row = error_stride, p.a_step = 1;
    p.b = m.back.get(), p.b_row = m.back_stride;
    if (m.half) p.depth = (m.out + 1) / 2, p.a = w.error16[l & 1].get(), p.a_row = padded_halves(m.out) / 2;
    p.c = below.half ? nullptr : w.errors[l & 1].get(), p.c_row = strides_[l - 1];
    p.finish = kernels_.backward[a];
    if (has_slopes(settings_.activation)) p.slopes = w.slopes[l - 1].get(), p.slopes_row = strides_[l - 1];
    else if (!m.half) p.slopes = w.post[l - 1].get(), p.slopes_row = strides_[l - 1];
    else p.slopes16 = halves(w.in16[l]), p.slopes_row = padded_halves(m.in), p.finish = kernels_.backward16[a];
    p.parameter = settings_.parameter;
    if (learns_slopes()) {
      p.learned = slopes_.values.get() + slopes_at_[l - 1], p.learned_sums = w.learned.get() + slopes_at_[l - 1];
      if (first) std::fill_n(p.learned_sums, strides_[l - 1], 0.f);
    }
    p.keep = kept(l - 1, low), p.keep_row = strides_[l - 1], p.kept = p.keep ? 1 - settings_.dropped_hidden : 0;
    p.sums = w.gradients[l - 1].get();
    if (first) std::fill(p.sums, p.sums + p.columns, 0.f);
    if (below.half) {
      p.rows16 = halves(w.error16[(l - 1) & 1]), p.rows16_row = padded_halves(below.out);
      p.pairs = words(w.error_pairs[(l - 1) & 1]), p.pairs_row = below.stride;
    }
    product(m)(p);
    error = w.errors[l & 1].get(), error_stride = p.c_row;
  }
}

// From the errors of the first layer (and of the outputs, by the skip) to those of x, in w.dx.
void Trainer::input_gradient(Worker& w, int rows, const float* error, size_t error_stride, size_t low) const {
  const auto errors_of_x = [&](const Matrix& m, const float* a, size_t a_row, bool accumulate) {
    Product p{};
    p.rows = rows, p.columns = columns(m.in), p.depth = m.out;
    p.a = a, p.a_row = a_row, p.a_step = 1;
    p.b = m.back.get(), p.b_row = m.back_stride;
    if (m.half) {
      p.depth = (m.out + 1) / 2, p.a = w.error16[0].get(), p.a_row = padded_halves(m.out) / 2;
      if (!m.paired) p.b_floats = m.out;
    }
    p.c = w.dx.get(), p.c_row = x_stride_, p.accumulate = accumulate;
    if (skipping_ && !accumulate && !w.live[0].all) {
      read_live(w.live[0], m, p);
      p.b_rows = w.live[0].index.data();
    }
    product(m)(p);
  };
  errors_of_x(matrices_[0], error, error_stride, false);
  if (settings_.skip) errors_of_x(matrices_[layers() + 1], w.out.get(), out_stride_, true);
  if (const uint8_t* keep = kept(-1, low))
    kernels_.drop(w.dx.get(), x_stride_, keep, x_stride_, rows, columns(settings_.inputs), 1 - settings_.dropped_inputs);
}

}  // namespace sfumato
