#include "trainer.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "cpu.h"
#include "dropout.h"

namespace sfumato {
namespace {

constexpr int kBlockRows = 16;  // rows of weights updated and transposed together

uint16_t* halves(const Buffer& b) { return reinterpret_cast<uint16_t*>(b.get()); }
uint32_t* words(const Buffer& b) { return reinterpret_cast<uint32_t*>(b.get()); }

int round_up(int n, int to) { return (n + to - 1) / to * to; }

bool has_slopes(Activation a) {
  return a != Activation::identity && a != Activation::relu && a != Activation::leaky_relu;
}

const Settings& checked(const Settings& s) {
  const auto refuse = [](const char* what) { throw std::invalid_argument(what); };
  const auto size_fits = [](int n) { return n >= 1 && n <= 1 << 24; };
  if (!size_fits(s.inputs) || !size_fits(s.outputs)) refuse("inputs and outputs must be at least 1");
  for (int width : s.hidden)
    if (!size_fits(width)) refuse("every hidden width must be at least 1");
  if (!std::isfinite(s.parameter)) refuse("the activation's parameter must be finite");
  if (!(s.smoothing >= 0 && s.smoothing < 1)) refuse("smoothing must lie in [0, 1)");
  if (!(s.first >= 0 && s.first < 1 && s.second >= 0 && s.second < 1))
    refuse("beta1, beta2 and momentum must lie in [0, 1)");
  if (!(s.momentum >= 0 && s.momentum < 1 && s.auxiliary > 0)) refuse("muon needs momentum in [0, 1), auxiliary > 0");
  if (!(s.epsilon > 0)) refuse("eps must be greater than 0");
  if (!(s.decay >= 0 && std::isfinite(s.decay))) refuse("decay must be 0 (none) or more");
  for (float share : {s.dropped_inputs, s.dropped_hidden})
    if (!(share >= 0 && share < 1)) refuse("shares dropped must lie in [0, 1)");
  if (!(s.clip >= 0)) refuse("clip must be 0 (no limit) or more");
  if (s.threads < 1 || s.threads > 4096) refuse("threads must lie in 1 ... 4096");
  if (s.chunk < 0 || s.chunk > 1 << 20) refuse("chunk must be 0 (automatic) or up to 2^20 rows");
  for (const auto& level : s.grid.levels)
    if (!size_fits(level.across) || !size_fits(level.down)) refuse("every level needs cells across and down");
  if (!s.grid.levels.empty()) {
    if (s.grid.features < 1 || s.grid.features > 64) refuse("a grid's features must lie in 1 ... 64");
    if (s.grid.log2_table < 1 || s.grid.log2_table > 24) refuse("log2_table must lie in 1 ... 24");
    if (static_cast<size_t>(s.inputs) != s.grid.levels.size() * static_cast<size_t>(s.grid.features))
      refuse("inputs must be the grid's levels * features");
  }
  const size_t count = s.hidden.size() + 1 + s.skip;
  if (!s.factors.empty() && s.factors.size() != count) refuse("factors must name one rate factor a matrix");
  for (float factor : s.factors)
    if (!std::isfinite(factor)) refuse("rate factors must be finite");
  return s;
}

}  // namespace

Trainer::Trainer(const Settings& settings)
    : settings_(checked(settings)), kernels_(pick_kernels(settings.isa)), pool_(settings.threads),
      // PyTorch's products are in bfloat16, so its result is no better than ours in bfloat16
      muon_(kernels_, pool_, kernels_.half_is_fast) {
  const auto& s = settings_;
  std::vector<int> sizes{s.inputs};
  sizes.insert(sizes.end(), s.hidden.begin(), s.hidden.end());
  sizes.push_back(s.outputs);
  const auto add = [&](int in, int out, bool bias, bool back) {
    const size_t i = matrices_.size();
    Matrix m{in, out, bias, s.factors.empty() ? 1.f : s.factors[i], padded(out), padded(in), {}, {}, {}, {}, false, {}, kNotMuon};
    m.values = allocate(m.count());
    const bool adam = s.method != Method::sgd;
    m.muon = s.method == Method::muon && i >= 1 && i < s.hidden.size() ? muon_.add(in, out, m.stride) : kNotMuon;
    if (adam || s.first > 0) m.first = allocate(m.count());
    if (adam) m.second = allocate(m.count());
    m.half = i <= s.hidden.size() && (s.precision == Precision::bfloat16_all || (s.precision == Precision::bfloat16 && i));
    if (m.half) m.pairs = allocate(static_cast<size_t>(in + 1) / 2 * m.stride);
    if (back) m.back = allocate(static_cast<size_t>(m.half ? (out + 1) / 2 : out) * m.back_stride);
    matrices_.push_back(std::move(m));
  };
  for (size_t l = 0; l + 1 < sizes.size(); l++) add(sizes[l], sizes[l + 1], true, l > 0 || wants_dx());
  if (s.skip) add(s.inputs, s.outputs, false, wants_dx());
  if (has_grid()) build_grid();

  for (int width : s.hidden) strides_.push_back(padded(width));
  x_stride_ = padded(s.inputs);
  out_stride_ = padded(s.outputs);
  const size_t widest = strides_.empty() ? kLine : *std::max_element(strides_.begin(), strides_.end());
  size_t row = x_stride_ + out_stride_ + 2 * widest;
  for (size_t stride : strides_) row += stride * (1 + has_slopes(s.activation));
  for (const Matrix& m : matrices_) row += m.half ? m.back_stride : 0;
  row += 9 * s.grid.levels.size();
  // A chunk's values should stay in the core's own cache, but each chunk also reads and writes the whole gradient.
  // 640 KB beat 3 MB by a tenth on a machine with 1 MB a core whose other cores were busy; alone they were equal.
  // Where the gradient itself leaves the cache (784-6000: 19 MB), chunks of 256 rows beat 64 by a fifth and more.
  constexpr size_t kNear = size_t(160) << 10, kFar = size_t(1) << 20;  // floats
  size_t parameters = 0;
  for (const Matrix& m : matrices_) parameters += m.count();
  const int least = parameters > kFar ? 256 : 64;
  chunk_ = s.chunk ? round_up(s.chunk, kRows)
                   : std::clamp(static_cast<int>(kNear / row) / kRows * kRows, least, 512);

  workers_.resize(s.threads);
  pool_.run([&](int t) {  // each thread touches its own memory first, so that it lies near it
    Worker& w = workers_[t];
    w.x = allocate(chunk_ * x_stride_);
    w.out = allocate(chunk_ * out_stride_);
    w.target.resize(s.outputs);
    for (size_t stride : strides_) {
      w.post.push_back(allocate(chunk_ * stride));
      w.slopes.push_back(has_slopes(s.activation) ? allocate(chunk_ * stride) : Buffer());
    }
    if (s.precision != Precision::float32) {
      for (const Matrix& m : matrices_) {
        const size_t words = m.half ? chunk_ * m.back_stride / 2 : 0;
        w.in16.push_back(allocate(words));
        w.in_pairs.push_back(allocate(words));
      }
      const size_t any = std::max(widest, out_stride_);
      for (Buffer& e : w.error16) e = allocate(chunk_ * any / 2);
      for (Buffer& e : w.error_pairs) e = allocate(chunk_ * any / 2);
      w.weights16 = allocate(kBlockRows * any / 2);
    }
    for (Buffer& e : w.errors) e = allocate(chunk_ * widest);
    if (wants_dx()) w.dx = allocate(chunk_ * x_stride_);
    if (has_grid()) {
      const size_t corners = 4 * levels_.size() * chunk_;
      w.xy = allocate(2 * chunk_);
      w.entries.resize(corners);
      w.weights = allocate(corners);
      w.table = allocate(table_.count);
    }
    for (const Matrix& m : matrices_)
      w.gradients.push_back(allocate(static_cast<size_t>(1 + round_up(m.in, kRows)) * m.stride));
  });
  deal_blocks();
}

void Trainer::build_grid() {
  const GridSettings& g = settings_.grid;
  size_t entries = 0;
  for (const auto& [across, down, hashed] : g.levels) {
    const size_t own = hashed ? size_t(1) << g.log2_table : (size_t(across) + 1) * (size_t(down) + 1);
    Level level{static_cast<float>(across), static_cast<float>(down), static_cast<uint32_t>(across) + 1,
                hashed ? static_cast<uint32_t>(own - 1) : 0, static_cast<uint32_t>(entries)};
    levels_.push_back(level);
    entries += own;
    if (entries > size_t(1) << 28) throw std::invalid_argument("the grid has more than 2^28 entries");
  }
  grid_ = {levels_.data(), static_cast<int>(levels_.size()), g.features};
  table_.entries = entries;
  table_.count = (entries * g.features + kLine - 1) / kLine * kLine;
  const bool adam = settings_.method != Method::sgd;
  table_.values = allocate(table_.count);
  if (adam || settings_.first > 0) table_.first = allocate(table_.count);
  if (adam) table_.second = allocate(table_.count);
}

// Whole blocks to each thread, in order, by the number of floats in them.
void Trainer::deal_blocks() {
  size_t total = table_.count, before = 0;
  for (const Matrix& m : matrices_) total += m.count();
  const int T = pool_.size();
  blocks_.resize(T);
  const auto give = [&](const Block& block, size_t count) {
    blocks_[std::min<size_t>(before * T / total, T - 1)].push_back(block);
    before += count;
  };
  for (size_t i = 0; i < matrices_.size(); i++)
    for (int low = 0; low < matrices_[i].in; low += kBlockRows) {
      const int high = std::min(low + kBlockRows, matrices_[i].in);
      give({static_cast<int>(i), low, high}, static_cast<size_t>(high - low) * matrices_[i].stride);
    }
  constexpr int kTableLines = 256;  // 16 KB of each array
  const int lines = static_cast<int>(table_.count / kLine);
  for (int low = 0; low < lines; low += kTableLines) {
    const int high = std::min(low + kTableLines, lines);
    give({kTable, low, high}, static_cast<size_t>(high - low) * kLine);
  }
}

Trainer::Span Trainer::span(const Block& b) {
  if (b.matrix == kTable)
    return {table_.values.get(), table_.first.get(),  table_.second.get(), static_cast<size_t>(b.low) * kLine,
            static_cast<size_t>(b.high - b.low) * kLine, 0, 1.f};
  const Matrix& m = matrices_[b.matrix];
  const size_t low = (b.low ? 1 + b.low : 0) * m.stride;
  return {m.values.get(), m.first.get(), m.second.get(), low, (1 + b.high) * m.stride - low, b.low ? 0 : m.stride, m.factor};
}

std::vector<std::pair<int, int>> Trainer::array_shapes() const {
  std::vector<std::pair<int, int>> shapes;
  for (const Matrix& m : matrices_) {
    shapes.emplace_back(m.out, m.in);
    if (m.has_bias) shapes.emplace_back(m.out, 0);
  }
  if (has_grid()) shapes.emplace_back(static_cast<int>(table_.entries), grid_.features);
  return shapes;
}

std::vector<size_t> Trainer::array_sizes() const {
  std::vector<size_t> sizes;
  for (const auto& [out, in] : array_shapes()) sizes.push_back(static_cast<size_t>(out) * (in ? in : 1));
  return sizes;
}

void Trainer::set(Kind kind, const ConstArrays& from) {
  const std::lock_guard guard(lock_);
  size_t next = 0;
  for (Matrix& m : matrices_) {
    Buffer& into = kind == Kind::values ? m.values : kind == Kind::first ? m.first : m.second;
    const float* weights = from[next++];
    const float* bias = m.has_bias ? from[next++] : nullptr;
    if (!into) continue;
    for (int o = 0; o < m.out; o++) {
      if (bias) into[o] = bias[o];
      for (int i = 0; i < m.in; i++) into[(1 + i) * m.stride + o] = weights[static_cast<size_t>(o) * m.in + i];
    }
  }
  if (has_grid()) {
    Buffer& into = kind == Kind::values ? table_.values : kind == Kind::first ? table_.first : table_.second;
    if (into) std::copy(from[next], from[next] + table_.entries * grid_.features, into.get());
  }
  if (kind == Kind::values)
    for (int t = 0; t < pool_.size(); t++) refresh_all(t);
}

void Trainer::get(Kind kind, const Arrays& into) {
  const std::lock_guard guard(lock_);
  size_t next = 0;
  for (const Matrix& m : matrices_) {
    const Buffer& from = kind == Kind::values ? m.values : kind == Kind::first ? m.first : m.second;
    float* weights = into[next++];
    float* bias = m.has_bias ? into[next++] : nullptr;
    for (int o = 0; o < m.out; o++) {
      if (bias) bias[o] = from ? from[o] : 0.f;
      for (int i = 0; i < m.in; i++)
        weights[static_cast<size_t>(o) * m.in + i] = from ? from[(1 + i) * m.stride + o] : 0.f;
    }
  }
  if (has_grid()) {
    const Buffer& from = kind == Kind::values ? table_.values : kind == Kind::first ? table_.first : table_.second;
    const size_t count = table_.entries * grid_.features;
    if (from) std::copy(from.get(), from.get() + count, into[next]);
    else std::fill(into[next], into[next] + count, 0.f);
  }
}

void Trainer::set_data(const float* features, const float* targets, size_t samples) {
  const std::lock_guard guard(lock_);
  features_.assign(features, features + samples * raw_inputs());
  targets_.assign(targets, targets + samples * settings_.outputs);
  samples_ = samples;
}

// ------------------------------------------------------------------------------------------------ one chunk
// Rows of `features` into w.x: those named by `rows`, or `count` rows from `base`. Rows up to `padded` repeat the
// first one, so that they hold ordinary numbers; their errors are set to 0.
void Trainer::load(Worker& w, const float* features, const int32_t* rows, size_t base, int count, int padded) const {
  const int D = raw_inputs();
  float* into = has_grid() ? w.xy.get() : w.x.get();
  const size_t stride = has_grid() ? 2 : x_stride_;
  for (int r = 0; r < padded; r++) {
    const int from = r < count ? r : 0;
    const float* source = features + (rows ? static_cast<size_t>(rows[from]) : base + from) * D;
    std::copy(source, source + D, into + r * stride);
  }
  if (has_grid())
    kernels_.grid_forward(grid_, table_.values.get(), w.xy.get(), padded, chunk_, w.entries.data(), w.weights.get(),
                          w.x.get(), x_stride_);
}

// Layers 0 ... last of the rows in w.x; last = layers() is the readout. last_pre: leave that layer's
// pre-activations. slopes: keep what the backward pass needs.
void Trainer::forward(Worker& w, int rows, int last, bool last_pre, bool slopes, size_t low) const {
  const int a = static_cast<int>(settings_.activation);
  if (const uint8_t* keep = kept(-1, low))
    kernels_.drop(w.x.get(), x_stride_, keep, x_stride_, rows, columns(settings_.inputs), 1 - settings_.dropped_inputs);
  if (matrices_[0].half)
    kernels_.pack(w.x.get(), x_stride_, rows, columns(settings_.inputs), halves(w.in16[0]), words(w.in_pairs[0]));
  for (int l = 0; l <= last; l++) {
    const Matrix& m = matrices_[l];
    const bool readout = l == layers();
    Product p{};
    p.rows = rows, p.columns = columns(m.out), p.depth = m.in;
    p.a = l ? w.post[l - 1].get() : w.x.get();
    p.a_row = l ? strides_[l - 1] : x_stride_, p.a_step = 1;
    p.b = m.weights(), p.b_row = m.stride;
    if (m.half) {
      p.depth = (m.in + 1) / 2;
      p.a = w.in16[l].get(), p.a_row = m.back_stride / 2;
      p.b = m.pairs.get();
    }
    p.c = readout ? w.out.get() : w.post[l].get();
    p.c_row = readout ? out_stride_ : strides_[l];
    p.bias = m.bias();
    if (!readout && !(last_pre && l == last)) {
      p.finish = slopes ? kernels_.forward_with_slope[a] : kernels_.forward[a];
      p.slopes = slopes ? w.slopes[l].get() : nullptr;
      p.parameter = settings_.parameter;
      p.keep = kept(l, low), p.keep_row = strides_[l], p.kept = 1 - settings_.dropped_hidden;
    }
    if (!readout && matrices_[l + 1].half) {
      p.rows16 = halves(w.in16[l + 1]);
      if (slopes) p.pairs = words(w.in_pairs[l + 1]);
    }
    (m.half ? kernels_.multiply_half : kernels_.multiply)(p);
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
// share of the loss.
double Trainer::errors(Worker& w, const int32_t* rows, int count, int padded, size_t minibatch) const {
  const int C = settings_.outputs;
  const double n = static_cast<double>(minibatch);
  double sum = 0;
  for (int r = 0; r < padded; r++) {
    float* out = w.out.get() + r * out_stride_;
    if (r >= count) {
      std::fill(out, out + C, 0.f);
      continue;
    }
    const float* target = targets_.data() + static_cast<size_t>(rows[r]) * C;
    switch (settings_.loss) {
      case Loss::mse:
      case Loss::half_square: {
        const float scale = static_cast<float>(settings_.loss == Loss::mse ? 2 / (n * C) : 1 / n);
        for (int c = 0; c < C; c++) {
          const float d = out[c] - target[c];
          sum += static_cast<double>(d) * d;
          out[c] = d * scale;
        }
        break;
      }
      case Loss::l1: {
        const float scale = static_cast<float>(1 / (n * C));
        for (int c = 0; c < C; c++) {
          const float d = out[c] - target[c];
          sum += std::fabs(d);
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
          sum -= w.target[c] * log_share;
          out[c] = static_cast<float>((std::exp(log_share) * mass - w.target[c]) / n);
        }
        break;
      }
    }
  }
  switch (settings_.loss) {
    case Loss::mse:
    case Loss::l1: return sum / (n * C);
    case Loss::half_square: return 0.5 * sum / n;
    case Loss::cross_entropy: break;
  }
  return sum / n;
}

// From the errors of the outputs in w.out to the gradients of all parameters. first: they are set, not added to.
void Trainer::backward(Worker& w, int rows, bool first, size_t low) const {
  const int a = static_cast<int>(settings_.activation);
  const auto parameters = [&](int i, const float* input, size_t input_stride, const float* error,
                              size_t error_stride) {
    const Matrix& m = matrices_[i];
    float* gradient = w.gradients[i].get();
    Product p{};
    p.rows = round_up(m.in, kRows), p.columns = columns(m.out), p.depth = rows;
    p.a = input, p.a_row = 1, p.a_step = input_stride;
    p.b = error, p.b_row = error_stride;
    p.c = gradient + m.stride, p.c_row = m.stride, p.accumulate = !first;
    if (m.half) p.depth = rows / 2, p.a = w.in_pairs[i].get(), p.b = w.error_pairs[i & 1].get();
    (m.half ? kernels_.multiply_half : kernels_.multiply)(p);
    if (m.has_bias) kernels_.column_sums(error, error_stride, rows, columns(m.out), gradient, !first);
  };
  if (settings_.skip) parameters(layers() + 1, w.x.get(), x_stride_, w.out.get(), out_stride_);
  const float* error = w.out.get();
  size_t error_stride = out_stride_;
  if (const int l = layers(); matrices_[l].half)
    kernels_.pack(error, error_stride, rows, columns(settings_.outputs), halves(w.error16[l & 1]),
                  words(w.error_pairs[l & 1]));
  for (int l = layers(); l >= 0; l--) {
    parameters(l, l ? w.post[l - 1].get() : w.x.get(), l ? strides_[l - 1] : x_stride_, error, error_stride);
    const Matrix& m = matrices_[l];
    Product p{};
    p.rows = rows, p.columns = columns(m.in), p.depth = m.out;
    if (l == 0) {
      if (wants_dx()) input_gradient(w, rows, error, error_stride);
      if (const uint8_t* keep = wants_dx() ? kept(-1, low) : nullptr)
        kernels_.drop(w.dx.get(), x_stride_, keep, x_stride_, rows, columns(m.in), 1 - settings_.dropped_inputs);
      if (has_grid()) {
        if (first) std::fill(w.table.get(), w.table.get() + table_.count, 0.f);
        kernels_.grid_backward(grid_, w.entries.data(), w.weights.get(), rows, chunk_, w.dx.get(), x_stride_,
                               w.table.get());
      }
      break;
    }
    p.a = error, p.a_row = error_stride, p.a_step = 1;
    p.b = m.back.get(), p.b_row = m.back_stride;
    if (m.half) p.depth = (m.out + 1) / 2, p.a = w.error16[l & 1].get(), p.a_row = error_stride / 2;
    p.c = w.errors[l & 1].get(), p.c_row = strides_[l - 1];
    p.finish = kernels_.backward[a];
    p.slopes = has_slopes(settings_.activation) ? w.slopes[l - 1].get() : w.post[l - 1].get();
    p.parameter = settings_.parameter;
    p.keep = kept(l - 1, low), p.keep_row = strides_[l - 1], p.kept = 1 - settings_.dropped_hidden;
    if (matrices_[l - 1].half) {
      p.rows16 = halves(w.error16[(l - 1) & 1]);
      p.pairs = words(w.error_pairs[(l - 1) & 1]);
    }
    (m.half ? kernels_.multiply_half : kernels_.multiply)(p);
    error = p.c, error_stride = p.c_row;
  }
}

// From the errors of the first layer (and of the outputs, by the skip) to those of x, in w.dx.
void Trainer::input_gradient(Worker& w, int rows, const float* error, size_t error_stride) const {
  const auto errors_of_x = [&](const Matrix& m, const float* a, size_t a_row, bool accumulate) {
    Product p{};
    p.rows = rows, p.columns = columns(m.in), p.depth = m.out;
    p.a = a, p.a_row = a_row, p.a_step = 1;
    p.b = m.back.get(), p.b_row = m.back_stride;
    if (m.half) p.depth = (m.out + 1) / 2, p.a = w.error16[0].get(), p.a_row = a_row / 2;
    p.c = w.dx.get(), p.c_row = x_stride_, p.accumulate = accumulate;
    (m.half ? kernels_.multiply_half : kernels_.multiply)(p);
  };
  errors_of_x(matrices_[0], error, error_stride, false);
  if (settings_.skip) errors_of_x(matrices_[layers() + 1], w.out.get(), out_stride_, true);
}

// --------------------------------------------------------------------------------------------------- one step
// How a minibatch of `count` samples is cut: number of chunks, and rows in each but the last. Small minibatches
// are cut finer, so that every thread has work.
int Trainer::chunks_of(size_t count, int& rows) const {
  const size_t share = (count + pool_.size() - 1) / pool_.size();
  rows = std::min<int>(chunk_, round_up(static_cast<int>(std::min<size_t>(share, 1 << 20)), kRows));
  return static_cast<int>((count + rows - 1) / rows);
}

void Trainer::minibatch_gradient(int t, const int32_t* order, size_t count) {
  Worker& w = workers_[t];
  w.loss = 0;
  int rows = 0;
  const int chunks = chunks_of(count, rows);
  for (int c = t; c < chunks; c += pool_.size()) {
    const size_t low = static_cast<size_t>(c) * rows;
    const int here = static_cast<int>(std::min<size_t>(rows, count - low)), padded = round_up(here, kRows);
    load(w, features_.data(), order + low, 0, here, padded);
    forward(w, padded, layers(), false, true, low);
    w.loss += errors(w, order + low, here, padded, count);
    backward(w, padded, c == t, low);
  }
}

// PyTorch draws for all inputs of a minibatch, row by row, then for the hidden layers one after the other. Its
// generator cannot be split, so one thread draws for all.
void Trainer::draw_dropout(uint32_t seed, size_t count) {
  Twister twister(seed);
  keep_.resize(1 + layers());
  for (int l = -1; l < layers(); l++) {
    const float share = l < 0 ? settings_.dropped_inputs : settings_.dropped_hidden;
    if (!share) continue;
    const size_t stride = l < 0 ? x_stride_ : strides_[l], width = l < 0 ? settings_.inputs : settings_.hidden[l];
    std::vector<uint8_t>& keep = keep_[1 + l];
    keep.resize((count + kRows) * stride);
    for (size_t r = 0; r < count; r++) twister.draw(keep.data() + r * stride, width, share);
  }
}

const uint8_t* Trainer::kept(int layer, size_t row) const {
  if (!dropping_ || !(layer < 0 ? settings_.dropped_inputs : settings_.dropped_hidden)) return nullptr;
  return keep_[1 + layer].data() + row * (layer < 0 ? x_stride_ : strides_[layer]);
}

// Into worker 0's gradients, for this thread's blocks: the sum over the first `active` workers.
void Trainer::sum_gradients(int t, int active) {
  double squares = 0;
  for (const Block& b : blocks_[t]) {
    const Span part = span(b);
    float* into = gradient_of(workers_[0], b) + part.offset;
    for (int other = 1; other < active; other++)
      kernels_.add(into, gradient_of(workers_[other], b) + part.offset, part.count);
    if (settings_.clip > 0) squares += kernels_.square_sum(into, part.count);
  }
  workers_[t].squares = squares;
}

void Trainer::update(int t, int64_t step, double rate, float scale) {
  const auto& s = settings_;
  const double steps = static_cast<double>(step);
  Update u{};
  u.scale = scale, u.first = static_cast<float>(s.first), u.second = static_cast<float>(s.second);
  u.first_rest = static_cast<float>(1 - s.first), u.second_rest = static_cast<float>(1 - s.second);
  u.epsilon = static_cast<float>(s.epsilon);
  u.root = static_cast<float>(1 / std::sqrt(1 - std::pow(s.second, steps)));
  const double adam_rate = (s.method == Method::muon ? s.auxiliary : 1) * rate / (1 - std::pow(s.first, steps));
  for (size_t i = 0; i < matrices_.size(); i++)
    if (matrices_[i].muon != kNotMuon) muon_.squares(matrices_[i].muon)[t] = 0;
  for (const Block& b : blocks_[t]) {
    const Span part = span(b);
    float* values = part.values + part.offset;
    float* first = part.first ? part.first + part.offset : nullptr;
    const float* gradient = gradient_of(workers_[0], b) + part.offset;
    if (s.method == Method::sgd) {
      u.rate = static_cast<float>(rate * part.factor);
      kernels_.sgd(values, first, gradient, part.count, u);
    } else {
      float* second = part.second + part.offset;
      const size_t n = part.biases;
      u.rate = static_cast<float>(adam_rate);
      u.shrink = 1;
      if (n) kernels_.adam(values, first, second, gradient, n, u);
      u.shrink = static_cast<float>(1 - rate * s.decay);
      if (is_muon(b)) {
        muon_momentum(t, b, gradient + n, first + n, scale);
        continue;
      }
      kernels_.adam(values + n, first + n, second + n, gradient + n, part.count - n, u);
    }
    refresh(workers_[t], b);
  }
  if (s.method != Method::muon) return;
  pool_.barrier();
  muon_.orthogonalize(t);
  for (const Block& b : blocks_[t]) {
    if (!is_muon(b)) continue;
    const Matrix& m = matrices_[b.matrix];
    float* weights = m.weights() + b.low * m.stride;
    kernels_.blend(weights, weights, 1, muon_.update(m.muon) + b.low * m.stride,
                   static_cast<float>(-rate) * muon_.scale(m.muon), (b.high - b.low) * m.stride);
    refresh(workers_[t], b);
  }
}

// The momentum of a block of weights, and what is to be made orthogonal: Nesterov's look ahead along it.
void Trainer::muon_momentum(int t, const Block& b, const float* gradient, float* buffer, float scale) {
  const Matrix& m = matrices_[b.matrix];
  const float momentum = static_cast<float>(settings_.momentum), rest = static_cast<float>(1 - settings_.momentum);
  const size_t count = (b.high - b.low) * m.stride;
  float* update = muon_.update(m.muon) + b.low * m.stride;
  kernels_.blend(buffer, buffer, momentum, gradient, rest * scale, count);
  kernels_.blend(update, gradient, rest * scale, buffer, momentum, count);
  muon_.squares(m.muon)[t] += kernels_.square_sum(update, count);
}

void Trainer::refresh(Worker& w, const Block& b) const {
  if (b.matrix == kTable) return;
  const Matrix& m = matrices_[b.matrix];
  const float* from = m.weights() + b.low * m.stride;
  float* into = m.back ? m.back.get() + b.low : nullptr;
  const int rows = b.high - b.low;
  if (!m.half && !into) return;
  if (!m.half) return kernels_.transpose(from, m.stride, rows, m.out, into, m.back_stride);
  kernels_.pack(from, m.stride, rows, columns(m.out), halves(w.weights16), words(m.pairs) + b.low / 2 * m.stride);
  // a word of a packed row is a pair of neighbouring columns: transposed, these are the pairs of [out][in]
  if (into) kernels_.transpose(w.weights16.get(), m.stride / 2, rows, (m.out + 1) / 2, into, m.back_stride);
}

void Trainer::refresh_all(int t) {
  for (const Block& b : blocks_[t]) refresh(workers_[t], b);
}

// ---------------------------------------------------------------------------------------------- one sample a step
bool Trainer::is_sample_step(int32_t size) const {
  return size == 1 && settings_.method == Method::sgd && settings_.first == 0 && settings_.clip == 0 &&
         !has_grid() && !drops();
}

// Forward, then layer by layer backward, each matrix moved in the same pass that carries the error through it.
// It reads [in][out] weights only: `back` is stale after it.
void Trainer::sample_step(const int32_t* row, double rate) {
  Worker& w = workers_[0];
  const int a = static_cast<int>(settings_.activation), L = layers();
  const bool relu = settings_.activation == Activation::relu;
  load(w, features_.data(), row, 0, 1, 1);
  for (int l = 0; l <= L; l++) {
    const Matrix& m = matrices_[l];
    float* z = l < L ? w.post[l].get() : w.out.get();
    kernels_.row_forward(l ? w.post[l - 1].get() : w.x.get(), m.in, m.weights(), m.stride, columns(m.out), m.bias(),
                         z);
    if (l < L && kernels_.forward_with_slope[a])
      kernels_.forward_with_slope[a](z, w.slopes[l].get(), strides_[l], 1, columns(m.out), settings_.parameter);
  }
  if (settings_.skip) {
    const Matrix& m = matrices_[L + 1];
    kernels_.row_forward(w.x.get(), m.in, m.weights(), m.stride, columns(m.out), w.out.get(), w.out.get());
  }
  w.loss = errors(w, row, 1, 1, 1);
  const auto step = [&](const Matrix& m) { return static_cast<float>(rate * m.factor); };
  if (settings_.skip) {
    const Matrix& m = matrices_[L + 1];
    kernels_.row_backward(w.x.get(), m.in, m.weights(), m.stride, columns(m.out), w.out.get(), step(m), nullptr,
                          true);
  }
  const float* error = w.out.get();
  for (int l = L; l >= 0; l--) {
    const Matrix& m = matrices_[l];
    Update u{};
    u.rate = step(m), u.scale = 1;
    kernels_.sgd(m.bias(), nullptr, error, columns(m.out), u);
    float* before = l ? w.errors[l & 1].get() : nullptr;
    kernels_.row_backward(l ? w.post[l - 1].get() : w.x.get(), m.in, m.weights(), m.stride, columns(m.out), error,
                          u.rate, before, relu || l == 0);
    if (l == 0) break;
    const int width = columns(m.in);
    std::fill(before + m.in, before + width, 0.f);
    if (kernels_.backward[a])
      kernels_.backward[a](before, has_slopes(settings_.activation) ? w.slopes[l - 1].get() : w.post[l - 1].get(),
                           strides_[l - 1], 1, width, settings_.parameter);
    error = before;
  }
}

// ------------------------------------------------------------------------------------------------ many steps
void Trainer::advance(const int32_t* order, const int32_t* sizes, const double* rates, const uint32_t* seeds, size_t steps,
                      float* losses) {
  const std::lock_guard guard(lock_);
  dropping_ = seeds != nullptr && drops();
  const int T = pool_.size();
  pool_.run([&](int t) {
    const int32_t* rows = order;
    for (size_t s = 0; s < steps;) {
      if (is_sample_step(sizes[s])) {
        size_t end = s;
        while (end < steps && is_sample_step(sizes[end])) end++;
        if (t == 0)
          for (size_t i = s; i < end; i++) {
            sample_step(rows + (i - s), rates[i]);
            losses[i] = static_cast<float>(workers_[0].loss);
          }
        pool_.barrier();
        refresh_all(t);
        pool_.barrier();
        rows += end - s;
        s = end;
        continue;
      }
      const size_t count = static_cast<size_t>(sizes[s]);
      int unused = 0;
      const int active = std::min(T, chunks_of(count, unused));
      if (dropping_) {
        if (t == 0) draw_dropout(seeds[s], count);
        pool_.barrier();
      }
      minibatch_gradient(t, rows, count);
      pool_.barrier();
      sum_gradients(t, active);
      float scale = 1;
      if (settings_.clip > 0) {
        pool_.barrier();
        double squares = 0;
        for (const Worker& w : workers_) squares += w.squares;
        scale = std::min(1.f, static_cast<float>(settings_.clip / (std::sqrt(squares) + 1e-6)));
      }
      if (t == 0) {
        double loss = 0;
        for (int i = 0; i < active; i++) loss += workers_[i].loss;
        losses[s] = static_cast<float>(loss);
      }
      update(t, updates_ + static_cast<int64_t>(s) + 1, rates[s], scale);
      pool_.barrier();
      rows += count;
      s++;
    }
  });
  updates_ += static_cast<int64_t>(steps);
  dropping_ = false;
}

float Trainer::gradient(const int32_t* rows, size_t count, const Arrays& into) {
  const std::lock_guard guard(lock_);
  int unused = 0;
  const int active = std::min(pool_.size(), chunks_of(count, unused));
  pool_.run([&](int t) {
    minibatch_gradient(t, rows, count);
    pool_.barrier();
    sum_gradients(t, active);
  });
  double loss = 0;
  for (int i = 0; i < active; i++) loss += workers_[i].loss;
  copy_gradient(into);
  return static_cast<float>(loss);
}

void Trainer::copy_gradient(const Arrays& into) const {
  size_t next = 0;
  for (size_t i = 0; i < matrices_.size(); i++) {
    const Matrix& m = matrices_[i];
    const float* from = workers_[0].gradients[i].get();
    float* weights = into[next++];
    for (int o = 0; o < m.out; o++)
      for (int k = 0; k < m.in; k++) weights[static_cast<size_t>(o) * m.in + k] = from[(1 + k) * m.stride + o];
    if (m.has_bias) std::copy(from, from + m.out, into[next++]);
  }
  if (has_grid())
    std::copy(workers_[0].table.get(), workers_[0].table.get() + table_.entries * grid_.features, into[next]);
}

void Trainer::pullback(const float* features, const float* errors, size_t samples, const Arrays& into,
                       float* inputs) {
  const std::lock_guard guard(lock_);
  int rows = 0;
  const int chunks = chunks_of(samples, rows), T = pool_.size(), active = std::min(T, chunks);
  const size_t C = settings_.outputs, D = settings_.inputs;
  pool_.run([&](int t) {
    Worker& w = workers_[t];
    for (int c = t; c < chunks; c += T) {
      const size_t low = static_cast<size_t>(c) * rows;
      const int count = static_cast<int>(std::min<size_t>(rows, samples - low)), padded = round_up(count, kRows);
      load(w, features, nullptr, low, count, padded);
      forward(w, padded, layers(), false, true);
      for (int r = 0; r < padded; r++) {
        float* out = w.out.get() + r * out_stride_;
        if (r < count) std::copy(errors + (low + r) * C, errors + (low + r + 1) * C, out);
        else std::fill(out, out + C, 0.f);
      }
      backward(w, padded, c == t);
      if (inputs)
        for (int r = 0; r < count; r++) {
          const float* dx = w.dx.get() + r * x_stride_;
          std::copy(dx, dx + D, inputs + (low + r) * D);
        }
    }
    pool_.barrier();
    sum_gradients(t, active);
  });
  copy_gradient(into);
}

void Trainer::predict(const float* features, size_t samples, float* outputs) {
  const std::lock_guard guard(lock_);
  const size_t C = settings_.outputs;
  pool_.run([&](int t) {
    Worker& w = workers_[t];
    for (size_t low = static_cast<size_t>(t) * chunk_; low < samples; low += static_cast<size_t>(pool_.size()) * chunk_) {
      const int count = static_cast<int>(std::min<size_t>(chunk_, samples - low)), padded = round_up(count, kRows);
      load(w, features, nullptr, low, count, padded);
      forward(w, padded, layers(), false, false);
      for (int r = 0; r < count; r++) {
        const float* out = w.out.get() + r * out_stride_;
        std::copy(out, out + C, outputs + (low + r) * C);
      }
    }
  });
}

void Trainer::activations(int layer, bool pre, const float* features, size_t samples, float* into) {
  const std::lock_guard guard(lock_);
  const size_t width = settings_.hidden[layer];
  pool_.run([&](int t) {
    Worker& w = workers_[t];
    for (size_t low = static_cast<size_t>(t) * chunk_; low < samples; low += static_cast<size_t>(pool_.size()) * chunk_) {
      const int count = static_cast<int>(std::min<size_t>(chunk_, samples - low)), padded = round_up(count, kRows);
      load(w, features, nullptr, low, count, padded);
      forward(w, padded, layer, pre, false);
      for (int r = 0; r < count; r++) {
        const float* values = w.post[layer].get() + r * strides_[layer];
        std::copy(values, values + width, into + (low + r) * width);
      }
    }
  });
}

}  // namespace sfumato
