// One sample a step: the algorithm of 2012, plain descent after every pixel.
//
// Each layer is cut in two parts, whole vectors of its columns (of its rows, in the readout), with the sums over a
// layer's errors in that order. Where two threads are free each takes a part and keeps its half of the weights in its
// own cache, meeting 2 L - 1 times a sample; otherwise one thread takes both, with the same result to the last bit.
// Halves lie in memory of their own: side by side, prefetching pulled the other thread's lines over (8 times slower).
#include <algorithm>
#include <chrono>

#include "trainer.h"

namespace sfumato {

bool Trainer::is_sample_step(int32_t size) const {
  return size == 1 && settings_.precision == Precision::float32 && settings_.method == Method::sgd &&
         settings_.first == 0 && settings_.clip == 0 && !has_grid() && !drops() && !settings_.feedback &&
         !learns_slopes();
}

Trainer::Range Trainer::part(int width, int p) const {
  const int vectors = columns(width) / kernels_.lanes;
  return {vectors * p / kParts * kernels_.lanes, vectors * (p + 1) / kParts * kernels_.lanes};
}

// All halves of a part in one block of a whole huge page: scattered over pages, they collided in the cache in every
// second process, and two threads were no faster than one.
void Trainer::prepare_halves() {
  for (int p = 0; p < kParts; p++) {
    if (half_memory_[p]) continue;
    halves_[p].clear();
    size_t total = 0;
    for (int l = 0; l < layers(); l++) {
      const Range r = part(matrices_[l].out, p);
      halves_[p].push_back({nullptr, padded(r.high - r.low)});
      total += (matrices_[l].in + 1) * halves_[p][l].stride;
    }
    half_memory_[p] = allocate(std::max(total, kHugePage / sizeof(float)));
    float* at = half_memory_[p].get();
    for (int l = 0; l < layers(); l++) {
      halves_[p][l].values = at;
      at += (matrices_[l].in + 1) * halves_[p][l].stride;
    }
  }
}

// A part of the hidden layers' parameters to its own memory, or back.
void Trainer::copy_half(int p, bool back) {
  for (int l = 0; l < layers(); l++) {
    Matrix& m = matrices_[l];
    const Range r = part(m.out, p);
    const Half& half = halves_[p][l];
    for (int i = 0; i <= m.in; i++) {
      float* whole = m.values.get() + i * m.stride + r.low;
      float* own = half.values + i * half.stride;
      if (back) std::copy(own, own + (r.high - r.low), whole);
      else std::copy(whole, whole + (r.high - r.low), own);
    }
  }
}

// Forward, then layer by layer backward, each matrix moved in the same pass that carries the error through it.
// It reads [in][out] weights only: `back` is stale after it. own: this thread's copy of inputs and outputs; parts
// [low, high) are done here, and meet() waits for whoever does the others.
template <class Meet>
void Trainer::sample_step(Worker& own, int low_part, int high_part, const Meet& meet, const int32_t* row, double rate) {
  const auto step = [&](const Matrix& m) { return static_cast<float>(rate * m.factor); };
  Worker& w = workers_[0];
  const int a = static_cast<int>(settings_.activation), L = layers();
  const bool relu = settings_.activation == Activation::relu;
  // values *= slope, of a layer's values from `low` on
  const auto through_activation = [&](int l, float* errors, Range r) {
    const Buffer& slopes = has_slopes(settings_.activation) ? w.slopes[l] : w.post[l];
    std::fill(errors + std::clamp(settings_.hidden[l], r.low, r.high), errors + r.high, 0.f);
    if (kernels_.backward[a] && r.low < r.high)
      kernels_.backward[a](errors + r.low, strides_[l], slopes.get() + r.low, strides_[l], 1, r.high - r.low,
                           settings_.parameter);
  };

  load(own, features_.data(), row, 0, 1, 1);
  for (int l = 0; l < L; l++) {
    const Matrix& m = matrices_[l];
    for (int p = low_part; p < high_part; p++) {
      const Range r = part(m.out, p);
      const Half& half = halves_[p][l];
      float* z = w.post[l].get() + r.low;
      kernels_.row_forward(l ? w.post[l - 1].get() : own.x.get(), m.in, half.weights(), half.stride, r.high - r.low,
                           half.bias(), z);
      if (kernels_.forward_with_slope[a])
        kernels_.forward_with_slope[a](z, strides_[l], w.slopes[l] ? w.slopes[l].get() + r.low : nullptr, strides_[l],
                                       1, r.high - r.low, settings_.parameter);
    }
    if (l + 1 < L) meet();
  }

  const Matrix& readout = matrices_[L];
  const float* last = L ? w.post[L - 1].get() : own.x.get();
  const int outputs = columns(readout.out);
  const auto rows_of = [&](int p) {
    const Range r = part(readout.in, p);
    return Range{std::min(r.low, readout.in), std::min(r.high, readout.in)};
  };
  for (int p = low_part; p < high_part; p++) {
    const Range r = rows_of(p);
    float* sum = part_sums_[p].get();
    kernels_.row_forward(last + r.low, r.high - r.low, readout.weights() + r.low * readout.stride, readout.stride,
                         outputs, p ? zeros_.get() : readout.bias(), sum);
    if (settings_.skip && p == 0) {
      const Matrix& m = matrices_[L + 1];
      kernels_.row_forward(own.x.get(), m.in, m.weights(), m.stride, outputs, sum, sum);
    }
  }
  meet();
  std::copy(part_sums_[0].get(), part_sums_[0].get() + outputs, own.out.get());
  for (int p = 1; p < kParts; p++) kernels_.add(own.out.get(), part_sums_[p].get(), outputs);
  own.loss = errors(own, row, 1, 1, 1, nullptr);

  for (int p = low_part; p < high_part; p++) {
    const Range r = rows_of(p);
    float* before = L ? w.errors[L & 1].get() : nullptr;
    kernels_.row_backward(last + r.low, r.high - r.low, readout.weights() + r.low * readout.stride, readout.stride,
                          outputs, own.out.get(), step(readout), L ? before + r.low : nullptr, relu || L == 0);
    if (L) through_activation(L - 1, before, part(readout.in, p));
    if (p) continue;
    Update u{};
    u.rate = step(readout), u.scale = 1;
    kernels_.sgd(readout.bias(), nullptr, own.out.get(), outputs, u);
    if (settings_.skip) {
      const Matrix& m = matrices_[L + 1];
      kernels_.row_backward(own.x.get(), m.in, m.weights(), m.stride, outputs, own.out.get(), step(m), nullptr, true);
    }
  }
  for (int l = L - 1; l >= 0; l--) {
    const Matrix& m = matrices_[l];
    const float* error = w.errors[(l + 1) & 1].get();
    Buffer(&shares)[kParts] = part_errors_[l & 1];
    for (int p = low_part; p < high_part; p++) {
      const Range r = part(m.out, p);
      Update u{};
      u.rate = step(m), u.scale = 1;
      const Half& half = halves_[p][l];
      kernels_.sgd(half.bias(), nullptr, error + r.low, r.high - r.low, u);
      kernels_.row_backward(l ? w.post[l - 1].get() : own.x.get(), m.in, half.weights(), half.stride, r.high - r.low,
                            error + r.low, u.rate, l ? shares[p].get() : nullptr, relu || l == 0);
    }
    if (l == 0) break;
    meet();
    for (int p = low_part; p < high_part; p++) {
      const Range r = part(m.in, p);
      float* before = w.errors[l & 1].get();
      std::copy(shares[0].get() + r.low, shares[0].get() + r.high, before + r.low);
      for (int other = 1; other < kParts; other++)
        kernels_.add(before + r.low, shares[other].get() + r.low, r.high - r.low);
      through_activation(l - 1, before, r);
    }
  }
}

// Two threads win only while both run: where other programs want the cores, each meeting may wait for a time slice.
// So now and then some samples are timed the other way, and more rarely the more clearly that way loses.
void Trainer::sample_steps(int t, const int32_t* rows, const double* rates, size_t count, float* losses) {
  // in samples of some 30 us; a trial takes longer than a time slice, or it would not see that there are any
  constexpr size_t kTried = 256, kSlice = 1024, kLeast = size_t(1) << 12, kMost = size_t(1) << 15;
  constexpr size_t kWorthMeeting = 1 << 16;  // parameters
  using Clock = std::chrono::steady_clock;
  size_t parameters = 0;
  for (const Matrix& m : matrices_) parameters += m.count();
  const bool can_meet = pool_.size() >= kParts && layers() >= 2 && parameters >= kWorthMeeting;
  const auto run = [&](size_t from, size_t slice, bool together) {
    for (size_t i = from; i < from + slice; i++) {
      if (together) sample_step(workers_[t], t, t + 1, [&] { parts_barrier_.wait(); }, rows + i, rates[i]);
      else sample_step(workers_[0], 0, kParts, [] {}, rows + i, rates[i]);
      if (t == 0) losses[i] = static_cast<float>(workers_[0].loss);
    }
  };
  if (pool_.size() < kParts) {
    for (int p = 0; p < kParts; p++) copy_half(p, false);
  } else {
    if (t < kParts) copy_half(t, false);
    pool_.barrier();
  }
  if (!can_meet) {
    if (t) return;
    run(0, count, false);
    for (int p = 0; p < kParts; p++) copy_half(p, true);
    return;
  }
  SamplePace& pace = sample_pace_;
  for (size_t done = 0; done < count;) {
    pool_.barrier();
    if (t == 0) {
      const double alone = pace.seconds[0], together = pace.seconds[1];
      const bool trial = alone == 0 || together == 0 || pace.until_trial == 0;  // 0: not tried yet
      pace.together = alone != 0 && (together == 0 || (together < alone) != trial);
      pace.slice = std::min(count - done, trial ? kTried : std::min(pace.until_trial, kSlice));
      pace.trial = trial;
    }
    pool_.barrier();
    const size_t slice = pace.slice;
    const auto start = Clock::now();
    if (pace.together ? t < kParts : t == 0) run(done, slice, pace.together);
    done += slice;
    if (t) continue;
    const double each = std::chrono::duration<double>(Clock::now() - start).count() / static_cast<double>(slice);
    double& usual = pace.seconds[pace.together];
    usual = pace.trial ? each : 0.75 * usual + 0.25 * each;
    if (!pace.trial) {
      pace.until_trial -= slice;
      continue;
    }
    const double other = pace.seconds[!pace.together];
    const bool lost_clearly = other > 0 && usual > 1.2 * other;
    pace.interval = lost_clearly ? std::min(2 * std::max(pace.interval, kLeast), kMost) : kLeast;
    pace.until_trial = pace.interval;
  }
  pool_.barrier();
  if (t < kParts) copy_half(t, true);
}

}  // namespace sfumato
