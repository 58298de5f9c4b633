// Building a trainer, and what goes in and out of it.
#include "trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "cpu.h"

namespace sfumato {
namespace {

const Settings& checked(const Settings& s) {
  const auto refuse = [](const char* what) { throw std::invalid_argument(what); };
  const auto size_fits = [](int n) { return n >= 1 && n <= 1 << 24; };
  if (!size_fits(s.inputs) || !size_fits(s.outputs)) refuse("inputs and outputs must be at least 1");
  for (int width : s.hidden)
    if (!size_fits(width)) refuse("every hidden width must be at least 1");
  if (!std::isfinite(s.parameter)) refuse("the activation's parameter must be finite");
  if (s.activation == Activation::lwta && s.parameter != 2 && s.parameter != 4)
    refuse("lwta needs blocks of 2 or 4 units, which lie within the vectors of every instruction set");
  if (!(s.smoothing >= 0 && s.smoothing < 1)) refuse("smoothing must lie in [0, 1)");
  if (!(s.first >= 0 && s.first < 1 && s.second >= 0 && s.second < 1))
    refuse("beta1, beta2 and momentum must lie in [0, 1)");
  if (!(s.momentum >= 0 && s.momentum < 1 && s.auxiliary > 0)) refuse("muon needs momentum in [0, 1), auxiliary > 0");
  if (s.muon_steps < 1 || s.muon_steps > 100 || s.muon_blocks < 1) refuse("muon needs 1 to 100 steps, blocks >= 1");
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

// Parameters or moments of a matrix or a table.
template <class Part>
const Buffer& part_of(const Part& part, Kind kind) {
  return kind == Kind::values ? part.values : kind == Kind::first ? part.first : part.second;
}

}  // namespace

Trainer::Trainer(const Settings& settings)
    : settings_(checked(settings)), kernels_(pick_kernels(settings.isa)), pool_(settings.threads),
      // PyTorch's products are in bfloat16, so its result is no better than ours in bfloat16
      muon_(kernels_, pool_, kernels_.half_is_fast, settings.muon_steps, settings.muon_blocks) {
  skipping_ = skips_silence();
  const auto& s = settings_;
  std::vector<int> sizes{s.inputs};
  sizes.insert(sizes.end(), s.hidden.begin(), s.hidden.end());
  sizes.push_back(s.outputs);
  const auto add = [&](int in, int out, bool bias, bool back) {
    const size_t i = matrices_.size();
    Matrix m{in, out, bias, s.factors.empty() ? 1.f : s.factors[i], padded(out), padded(in), {}, {}, {}, {}, false, false, false, {}, kNotMuon};
    m.values = allocate(m.count());
    const bool adam = s.method != Method::sgd;
    m.muon = s.method == Method::muon && i >= 1 && i < s.hidden.size() ? muon_.add(in, out, m.stride) : kNotMuon;
    if (adam || s.first > 0) m.first = allocate(m.count());
    if (adam) m.second = allocate(m.count());
    m.half = i <= s.hidden.size() && (s.precision == Precision::bfloat16_all || (s.precision == Precision::bfloat16 && i));
    m.paired = m.half && !skipping_;
    if (m.paired) m.pairs = allocate(static_cast<size_t>(in + 1) / 2 * m.stride);
    m.fixed = s.feedback && i >= 1 && i <= s.hidden.size();
    if (back) m.back = allocate(static_cast<size_t>(m.paired ? (out + 1) / 2 : out) * m.back_stride);
    matrices_.push_back(std::move(m));
  };
  for (size_t l = 0; l + 1 < sizes.size(); l++) add(sizes[l], sizes[l + 1], true, l > 0 || wants_dx());
  if (s.skip) add(s.inputs, s.outputs, false, wants_dx());
  if (has_grid()) build_grid();
  if (s.activation == Activation::lwta)  // a last block that is not full: what is no unit wins against none
    for (int l = 0; l < layers(); l++) {
      float* bias = matrices_[l].bias();
      std::fill(bias + matrices_[l].out, bias + matrices_[l].stride, std::numeric_limits<float>::lowest());
    }

  for (int width : s.hidden) strides_.push_back(padded(width));
  if (learns_slopes()) {
    size_t count = 0;
    for (size_t stride : strides_) slopes_at_.push_back(count), count += stride;
    slopes_ = table_of(count);
  }
  x_stride_ = padded(s.inputs);
  out_stride_ = padded(s.outputs);
  const size_t widest = strides_.empty() ? kLine : *std::max_element(strides_.begin(), strides_.end());
  const size_t forms = kernels_.pairs_from_rows ? 1 : 2;  // packed forms of a half matrix's input, and of its error
  size_t row = x_stride_ + out_stride_;
  bool half = false;
  for (size_t l = 0; l <= s.hidden.size(); l++) {
    const Matrix& m = matrices_[l];
    half = half || m.half;
    if (m.half) row += forms * padded_halves(m.in) / 2;
    else if (l) row += strides_[l - 1];
    if (l && has_slopes(s.activation)) row += strides_[l - 1];
  }
  row += half ? forms * padded_halves(static_cast<int>(widest)) : 2 * widest;
  // A chunk's values should stay in the core's own cache, but each chunk also reads and writes the whole gradient.
  // Where the gradient itself leaves the cache (784-6000: 19 MB), chunks of 256 rows beat 64 by a fifth and more.
  constexpr size_t kFar = size_t(1) << 20;  // floats
  // The fewer the rows of a chunk, the more units are silent on all of them; narrow layers have little to gain. In a large
  // minibatch neighbours lie so close that twice the rows have hardly more units that fire (29.9 % of the work for 29.2 %
  // at 8192), and what is done once a chunk costs half.
  constexpr size_t kWide = 128;
  size_t parameters = 0;
  for (const Matrix& m : matrices_) parameters += m.count();
  const int least = parameters > kFar ? 256 : 64;
  const bool silent = skipping_ && widest >= kWide;
  chunk_ = small_chunk_ = s.chunk ? round_up(s.chunk, kRows)
                        : silent  ? least
                                  : std::clamp(static_cast<int>(kernels_.near_floats / row) / kRows * kRows, least, 512);
  if (!s.chunk && silent) chunk_ = std::max(least, 128);

  for (Buffer& b : part_sums_) b = allocate(out_stride_);
  for (auto& shares : part_errors_)
    for (Buffer& b : shares) b = allocate(widest);
  zeros_ = allocate(out_stride_);
  workers_.resize(s.threads);
  struct Fresh {
    float* values;
    size_t count;
  };
  std::vector<std::vector<Fresh>> fresh(s.threads);
  for (int t = 0; t < s.threads; t++) {
    Worker& w = workers_[t];
    const auto allocate = [&](size_t count) {
      Buffer values = allocate_untouched(count);
      fresh[t].push_back({values.get(), count});
      return values;
    };
    w.x = allocate(chunk_ * x_stride_);
    w.out = allocate(chunk_ * out_stride_);
    w.target.resize(s.outputs);
    if (skipping_) prepare_silence(w);
    for (size_t stride : strides_) {
      w.post.push_back(allocate(chunk_ * (skipping_ ? widest : stride)));
      w.slopes.push_back(has_slopes(s.activation) ? allocate(chunk_ * stride) : Buffer());
    }
    if (s.precision != Precision::float32) {
      const bool pairs = !kernels_.pairs_from_rows;
      for (const Matrix& m : matrices_) {
        w.in16.push_back(m.half ? allocate(chunk_ * padded_halves(m.in) / 2) : Buffer());
        w.in_pairs.push_back(m.half && pairs ? allocate(chunk_ * m.back_stride / 2) : Buffer());
      }
      const size_t any = std::max(widest, out_stride_);
      for (Buffer& e : w.error16) e = allocate(chunk_ * padded_halves(static_cast<int>(any)) / 2);
      if (pairs)
        for (Buffer& e : w.error_pairs) e = allocate(chunk_ * any / 2);
      w.weights16 = allocate(kBlockRows * any / 2);
    }
    for (Buffer& e : w.errors) e = allocate(chunk_ * widest);
    if (wants_dx()) w.dx = allocate(chunk_ * x_stride_);
    if (has_grid()) w.table = allocate(table_.count);
    if (learns_slopes()) w.learned = allocate(slopes_.count);
    for (const Matrix& m : matrices_)
      w.gradients.push_back(allocate(static_cast<size_t>(1 + round_up(m.in, kRows)) * m.stride));
  }
  pool_.run([&](int t) {  // each thread touches its own memory first, so that it lies near it
    for (const Fresh& f : fresh[t]) set_zero(f.values, f.count);
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
  table_ = table_of((entries * g.features + kLine - 1) / kLine * kLine);
  table_.entries = entries;
}

Table Trainer::table_of(size_t count) const {
  const bool adam = settings_.method != Method::sgd;
  Table table;
  table.count = count;
  table.values = allocate(count);
  if (adam || settings_.first > 0) table.first = allocate(count);
  if (adam) table.second = allocate(count);
  return table;
}

// Whole blocks to each thread, in order, by the number of floats in them.
void Trainer::deal_blocks() {
  size_t total = table_.count + slopes_.count, before = 0;
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
  for (const auto& [matrix, table] : {std::pair(kTable, &table_), std::pair(kSlopes, &slopes_)}) {
    const int lines = static_cast<int>(table->count / kLine);
    for (int low = 0; low < lines; low += kTableLines) {
      const int high = std::min(low + kTableLines, lines);
      give({matrix, low, high}, static_cast<size_t>(high - low) * kLine);
    }
  }
}

Trainer::Span Trainer::span(const Block& b) {
  if (b.matrix < 0) {
    const Table& t = b.matrix == kTable ? table_ : slopes_;
    const size_t low = static_cast<size_t>(b.low) * kLine, count = static_cast<size_t>(b.high - b.low) * kLine;
    return {t.values.get(), t.first.get(), t.second.get(), low, count, b.matrix == kSlopes ? count : 0, 1.f};
  }
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
  if (has_grid()) shapes.emplace_back(static_cast<int>(table_.entries), settings_.grid.features);
  for (int l = 0; l < layers() && learns_slopes(); l++) shapes.emplace_back(settings_.hidden[l], 0);
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
    const Buffer& into = part_of(m, kind);
    const float* weights = from[next++];
    const float* bias = m.has_bias ? from[next++] : nullptr;
    if (!into) continue;
    for (int o = 0; o < m.out; o++) {
      if (bias) into[o] = bias[o];
      for (int i = 0; i < m.in; i++) into[(1 + i) * m.stride + o] = weights[static_cast<size_t>(o) * m.in + i];
    }
  }
  if (has_grid()) {
    const Buffer& into = part_of(table_, kind);
    if (into) std::copy_n(from[next], table_.entries * settings_.grid.features, into.get());
    next++;
  }
  for (int l = 0; l < layers() && learns_slopes(); l++)
    if (const Buffer& into = part_of(slopes_, kind)) std::copy_n(from[next++], settings_.hidden[l], into.get() + slopes_at_[l]);
  if (kind == Kind::values)
    for (int t = 0; t < pool_.size(); t++) refresh_all(t);
}

void Trainer::get(Kind kind, const Arrays& into) {
  const std::lock_guard guard(lock_);
  size_t next = 0;
  for (const Matrix& m : matrices_) {
    const Buffer& from = part_of(m, kind);
    float* weights = into[next++];
    float* bias = m.has_bias ? into[next++] : nullptr;
    for (int o = 0; o < m.out; o++) {
      if (bias) bias[o] = from ? from[o] : 0.f;
      for (int i = 0; i < m.in; i++)
        weights[static_cast<size_t>(o) * m.in + i] = from ? from[(1 + i) * m.stride + o] : 0.f;
    }
  }
  if (has_grid()) {
    const Buffer& from = part_of(table_, kind);
    const size_t count = table_.entries * settings_.grid.features;
    if (from) std::copy_n(from.get(), count, into[next++]);
    else std::fill_n(into[next++], count, 0.f);
  }
  for (int l = 0; l < layers() && learns_slopes(); l++) {
    const Buffer& from = part_of(slopes_, kind);
    if (from) std::copy_n(from.get() + slopes_at_[l], settings_.hidden[l], into[next++]);
    else std::fill_n(into[next++], settings_.hidden[l], 0.f);
  }
}

void Trainer::set_feedback(const ConstArrays& from) {
  const std::lock_guard guard(lock_);
  for (int l = 1; l <= layers(); l++) {
    const Matrix& m = matrices_[l];
    const Buffer turned = allocate(m.in * m.stride);
    for (int o = 0; o < m.out; o++)
      for (int i = 0; i < m.in; i++) turned[i * m.stride + o] = from[l - 1][static_cast<size_t>(o) * m.in + i];
    for (int low = 0; low < m.in; low += kBlockRows)
      lay_out(workers_[0], m, turned.get() + low * m.stride, std::min(kBlockRows, m.in - low), m.back.get() + low, nullptr);
  }
}

void Trainer::set_data(const float* features, const float* targets, size_t samples) {
  const std::lock_guard guard(lock_);
  samples_ = 0;  // should memory run out on the way, there are none
  features_.assign(features, features + samples * raw_inputs());
  targets_.assign(targets, targets + samples * settings_.outputs);
  samples_ = samples;
}

}  // namespace sfumato
