// Steps: gradients of a minibatch, the optimizers, and what is done with many steps or many rows.
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "dropout.h"
#include "trainer.h"

namespace sfumato {
namespace {

constexpr size_t kLarge = 4096;  // rows of a minibatch whose chunks are large, see Trainer::chunk_
constexpr int kPoints = 1 << 15;  // of a grid, looked up at a time, see grid_impl.h: some megabytes

}  // namespace

// How a minibatch of `count` samples is cut: number of chunks, and rows in each but the last. Every thread gets as
// many, as far as whole blocks of rows allow.
int Trainer::chunks_of(size_t count, int& rows) const {
  const size_t chunk = count < kLarge ? small_chunk_ : chunk_;
  const size_t share = (count + pool_.size() - 1) / pool_.size(), each = (share + chunk - 1) / chunk;
  rows = round_up(static_cast<int>((share + each - 1) / each), kRows);
  return static_cast<int>((count + rows - 1) / rows);
}

// What a job on up to `count` rows at a time needs beside the workers' chunks. Jobs allocate nothing: a failure among
// many steps would leave some of them done.
void Trainer::make_room(size_t count, bool drop) {
  if (drop) {
    keep_.resize(1 + layers());
    for (int l = -1; l < layers(); l++) {
      std::vector<uint8_t>& keep = keep_[1 + l];
      const size_t size = (count + kRows) * (l < 0 ? x_stride_ : strides_[l]);
      if ((l < 0 ? settings_.dropped_inputs : settings_.dropped_hidden) && keep.size() < size) keep.resize(size);
    }
  }
  if (!has_grid()) return;
  const size_t points = std::min(count, static_cast<size_t>(std::max(kPoints, chunk_)));
  size_t cells = 0;  // of the largest level that gathers its gradient by cells, see grid_impl.h
  for (const Level& level : levels_) {
    const size_t own = static_cast<size_t>(level.across) * static_cast<size_t>(level.down);
    if (!level.mask && own <= points) cells = std::max(cells, own);
  }
  for (Worker& w : workers_) {
    const auto at_least = [](std::vector<float>& values, size_t size) {
      if (values.size() < size) values.resize(size);
    };
    at_least(w.xs, points + kLine), at_least(w.ys, points + kLine);
    at_least(w.looked_up, levels_.size() * points * settings_.grid.features);
    at_least(w.cells, 8 * cells);
  }
}

// This thread's chunks of a minibatch, each through the net and back: the inner loop. Points of a grid are looked up for
// many chunks at once.
void Trainer::minibatch_gradient(int t, const Minibatch& samples) {
  Worker& w = workers_[t];
  w.loss = 0;
  int height = 0;
  const size_t count = samples.count, C = settings_.outputs, D = settings_.inputs;
  const int chunks = chunks_of(count, height), T = pool_.size();
  const auto rows_of = [&](int c) {
    return static_cast<int>(std::min<size_t>(height, count - static_cast<size_t>(c) * height));
  };
  const int group = has_grid() ? std::max(1, kPoints / height) * T : chunks;
  for (int from = t; from < chunks; from += group) {
    const int end = std::min(chunks, from + group);
    if (has_grid()) {
      w.points = 0;
      for (int c = from; c < end; c += T) {
        const size_t low = static_cast<size_t>(c) * height;
        add_points(w, samples.features, samples.rows ? samples.rows + low : nullptr, low, rows_of(c));
      }
      look_up(w);
    }
    size_t at = 0;
    for (int c = from; c < end; c += T) {
      const size_t low = static_cast<size_t>(c) * height;
      const int here = rows_of(c), padded = round_up(here, kRows);
      const int32_t* rows = samples.rows ? samples.rows + low : nullptr;
      load(w, samples.features, rows, low, here, padded, at);
      forward(w, padded, layers(), false, true, low);
      if (samples.errors) {
        float* out = w.out.get();
        for (int r = 0; r < here; r++) std::copy_n(samples.errors + (low + r) * C, C, out + r * out_stride_);
        for (int r = here; r < padded; r++) std::fill_n(out + r * out_stride_, C, 0.f);
      } else {
        w.loss += errors(w, rows, here, padded, count, samples.each ? samples.each + low : nullptr);
      }
      backward(w, padded, c == t, low);
      if (samples.inputs)
        for (int r = 0; r < here; r++) std::copy_n(w.dx.get() + r * x_stride_, D, samples.inputs + (low + r) * D);
      if (has_grid()) keep_errors(w, here, at);
      at += here;
    }
    if (has_grid()) table_gradient(w, from == t);
  }
}

// PyTorch draws for all inputs of a minibatch, row by row, then for the hidden layers one after the other. Its
// generator cannot be split, so one thread draws for all.
void Trainer::draw_dropout(uint32_t seed, size_t count) {
  Twister twister(seed);
  for (int l = -1; l < layers(); l++) {
    const float share = l < 0 ? settings_.dropped_inputs : settings_.dropped_hidden;
    if (!share) continue;
    const size_t stride = l < 0 ? x_stride_ : strides_[l], width = l < 0 ? settings_.inputs : settings_.hidden[l];
    std::vector<uint8_t>& keep = keep_[1 + l];
    for (size_t r = 0; r < count; r++) draw(twister, keep.data() + r * stride, width, share);
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
  if (b.matrix < 0) return;
  const Matrix& m = matrices_[b.matrix];
  const float* from = m.weights() + b.low * m.stride;
  float* back = m.back && !m.fixed ? m.back.get() + b.low : nullptr;
  lay_out(w, m, from, b.high - b.low, back, m.paired ? words(m.pairs) + b.low / 2 * m.stride : nullptr);
}

// Some rows of a matrix [in][out] as `back` and as `pairs` hold them (either may be null).
void Trainer::lay_out(Worker& w, const Matrix& m, const float* from, int rows, float* back, uint32_t* pairs) const {
  if (!back && !pairs) return;
  if (!m.paired) return kernels_.transpose(from, m.stride, rows, m.out, back, m.back_stride);
  kernels_.pack(from, m.stride, rows, columns(m.out), back ? halves(w.weights16) : nullptr, m.stride, pairs, m.stride);
  // a word of a packed row is a pair of neighbouring columns: transposed, these are the pairs of [out][in]
  if (back) kernels_.transpose(w.weights16.get(), m.stride / 2, rows, (m.out + 1) / 2, back, m.back_stride);
}

void Trainer::refresh_all(int t) {
  for (const Block& b : blocks_[t]) refresh(workers_[t], b);
}

// ------------------------------------------------------------------------------------------------ many steps
void Trainer::advance(std::span<const int32_t> order, std::span<const int32_t> sizes, std::span<const double> rates,
                      std::span<float> losses, std::span<const uint32_t> seeds, std::span<float> each) {
  const std::lock_guard guard(lock_);
  const size_t steps = sizes.size();
  const auto refuse = [](const std::string& what) { throw std::invalid_argument(what); };
  if (rates.size() != steps || losses.size() != steps) refuse("sizes, rates and losses differ in length");
  if (drops() ? seeds.size() != steps : !seeds.empty() && seeds.size() != steps) refuse("dropout needs a seed for each step");
  size_t total = 0;
  for (const int32_t size : sizes) {
    if (size < 1) refuse("every minibatch needs at least one sample");
    total += static_cast<size_t>(size);
  }
  if (total != order.size())
    refuse("sizes add up to " + std::to_string(total) + ", order holds " + std::to_string(order.size()));
  if (!std::all_of(rates.begin(), rates.end(), [](double rate) { return std::isfinite(rate); })) refuse("rates must be finite");
  if (!each.empty() && each.size() != total) refuse("errors and order differ in length");
  check_rows(order.data(), total);
  const bool drop = drops();
  make_room(steps ? static_cast<size_t>(*std::max_element(sizes.begin(), sizes.end())) : 0, drop);
  if (std::any_of(sizes.begin(), sizes.end(), [&](int32_t size) { return is_sample_step(size); })) prepare_halves();
  struct Dropping {  // and no longer, whatever happens
    bool& flag;
    ~Dropping() { flag = false; }
  } const dropping{dropping_};
  dropping_ = drop;
  const int T = pool_.size();
  pool_.run([&](int t) {
    const int32_t* rows = order.data();
    for (size_t s = 0; s < steps;) {
      if (is_sample_step(sizes[s])) {
        size_t end = s;
        while (end < steps && is_sample_step(sizes[end])) end++;
        sample_steps(t, rows, &rates[s], end - s, &losses[s]);
        if (!each.empty() && t == 0) std::copy(&losses[s], &losses[s] + (end - s), &each[rows - order.data()]);
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
      float* const own = each.empty() ? nullptr : &each[rows - order.data()];
      minibatch_gradient(t, {features_.data(), rows, count, nullptr, own, nullptr});
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
}

void Trainer::check_rows(const int32_t* rows, size_t count) const {
  for (size_t i = 0; i < count; i++)
    if (rows[i] < 0 || static_cast<size_t>(rows[i]) >= samples_)
      throw std::out_of_range("row " + std::to_string(rows[i]) + " lies outside the " + std::to_string(samples_) +
                              " samples");
}

float Trainer::gradient(const int32_t* rows, size_t count, const Arrays& into) {
  const std::lock_guard guard(lock_);
  check_rows(rows, count);
  make_room(count);
  int unused = 0;
  const int active = std::min(pool_.size(), chunks_of(count, unused));
  pool_.run([&](int t) {
    minibatch_gradient(t, {features_.data(), rows, count, nullptr, nullptr, nullptr});
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
    std::copy_n(workers_[0].table.get(), table_.entries * settings_.grid.features, into[next++]);
  for (int l = 0; l < layers() && learns_slopes(); l++)
    std::copy_n(workers_[0].learned.get() + slopes_at_[l], settings_.hidden[l], into[next++]);
}

void Trainer::pullback(const float* features, const float* errors, size_t samples, const Arrays& into,
                       float* inputs) {
  const std::lock_guard guard(lock_);
  make_room(samples);
  int rows = 0;
  const int active = std::min(pool_.size(), chunks_of(samples, rows));
  pool_.run([&](int t) {
    minibatch_gradient(t, {features, nullptr, samples, errors, nullptr, inputs});
    pool_.barrier();
    sum_gradients(t, active);
  });
  copy_gradient(into);
}

// Values of hidden layer `layer`, or the outputs (layer = layers()), for any number of rows.
void Trainer::run_forward(int layer, bool pre, const float* features, size_t samples, float* into) {
  const std::lock_guard guard(lock_);
  make_room(std::min(samples, static_cast<size_t>(chunk_)));
  const bool readout = layer == layers();
  const size_t width = readout ? settings_.outputs : settings_.hidden[layer];
  const size_t stride = readout ? out_stride_ : strides_[layer], chunk = static_cast<size_t>(chunk_);
  pool_.run([&](int t) {
    Worker& w = workers_[t];
    const float* values = readout ? w.out.get() : w.post[layer].get();
    for (size_t low = t * chunk; low < samples; low += pool_.size() * chunk) {
      const int count = static_cast<int>(std::min(chunk, samples - low)), padded = round_up(count, kRows);
      if (has_grid()) w.points = 0, add_points(w, features, nullptr, low, count), look_up(w);
      load(w, features, nullptr, low, count, padded);
      forward(w, padded, layer, pre, false);
      for (int r = 0; r < count; r++) std::copy_n(values + r * stride, width, into + (low + r) * width);
    }
  });
}

void Trainer::predict(const float* features, size_t samples, float* outputs) {
  run_forward(layers(), false, features, samples, outputs);
}

void Trainer::activations(int layer, bool pre, const float* features, size_t samples, float* into) {
  run_forward(layer, pre, features, samples, into);
}

}  // namespace sfumato
