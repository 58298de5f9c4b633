// A program for the sanitizers (address, undefined behaviour, threads) and for machines without Python: trains small
// nets of every kind on every instruction set and compares one gradient of each with finite differences of the loss.
// Built with -DSFUMATO_CHECK=ON; exits with 1 at the first failure.
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "cpu.h"
#include "trainer.h"

using sfumato::Activation;
using sfumato::Kind;
using sfumato::Loss;
using sfumato::Method;
using sfumato::Settings;
using sfumato::Trainer;

namespace {

constexpr int kSamples = 77;

struct Values {  // arrays in the trainer's order
  std::vector<std::vector<float>> arrays;

  explicit Values(const Trainer& trainer) {
    for (size_t size : trainer.array_sizes()) arrays.emplace_back(size);
  }
  sfumato::Arrays pointers() {
    sfumato::Arrays result;
    for (auto& array : arrays) result.push_back(array.data());
    return result;
  }
  sfumato::ConstArrays constants() const {
    sfumato::ConstArrays result;
    for (const auto& array : arrays) result.push_back(array.data());
    return result;
  }
};

int failures = 0;

void expect(bool fine, const char* what, const Trainer& trainer, double value) {
  if (fine) return;
  std::printf("FAILED: %s (%s, %d threads): %g\n", what, trainer.isa(), trainer.threads(), value);
  failures++;
}

void check(const Settings& settings) {
  Trainer trainer(settings);
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(0, 1);
  Values weights(trainer);
  const auto shapes = trainer.array_shapes();
  for (size_t i = 0; i < shapes.size(); i++) {
    const float bound = shapes[i].second ? std::sqrt(3.f / static_cast<float>(shapes[i].second)) : 0.3f;
    for (float& w : weights.arrays[i]) w = bound * (2 * uniform(random) - 1);
  }
  trainer.set(Kind::values, weights.constants());

  const int D = trainer.features(), C = settings.outputs;
  std::vector<float> features(kSamples * D), targets(kSamples * C);
  for (float& x : features) x = uniform(random);
  for (float& y : targets) y = uniform(random);
  trainer.set_data(features.data(), targets.data(), kSamples);

  std::vector<int32_t> rows;
  for (int r = 0; r < kSamples; r += 2) rows.push_back(r);
  Values gradient(trainer), unused(trainer);
  trainer.gradient(rows.data(), rows.size(), gradient.pointers());

  // Along the gradient itself the loss must rise by |gradient|^2 a step; one direction sees every parameter.
  double squares = 0;
  for (const auto& array : gradient.arrays)
    for (float g : array) squares += static_cast<double>(g) * g;
  const double step = 2e-3 / std::sqrt(squares);
  double loss[2];
  for (int side = 0; side < 2; side++) {
    Values moved = weights;
    for (size_t i = 0; i < moved.arrays.size(); i++)
      for (size_t j = 0; j < moved.arrays[i].size(); j++)
        moved.arrays[i][j] += static_cast<float>((side ? step : -step) * gradient.arrays[i][j]);
    trainer.set(Kind::values, moved.constants());
    loss[side] = trainer.gradient(rows.data(), rows.size(), unused.pointers());
  }
  const double ratio = (loss[1] - loss[0]) / (2 * step * squares);
  // The loss with bfloat16 weights is a staircase, and FINER's derivative leaves a factor out on purpose.
  if (settings.precision == sfumato::Precision::float32 && settings.activation != Activation::finer)
    expect(std::fabs(ratio - 1) < 0.02, "gradient against differences", trainer, ratio);

  trainer.set(Kind::values, weights.constants());
  std::vector<int32_t> order, sizes{31, 1, 8, 33, 1, 1};
  for (int32_t size : sizes)
    for (int i = 0; i < size; i++) order.push_back(static_cast<int32_t>(random() % kSamples));
  const std::vector<double> rates(sizes.size(), 1e-3);
  const std::vector<uint32_t> seeds(sizes.size(), 5);
  std::vector<float> first(sizes.size()), again(sizes.size()), outputs(kSamples * C);
  trainer.advance(order.data(), sizes.data(), rates.data(), seeds.data(), sizes.size(), first.data());
  Trainer other(settings);
  other.set(Kind::values, weights.constants());
  other.set_data(features.data(), targets.data(), kSamples);
  other.advance(order.data(), sizes.data(), rates.data(), seeds.data(), sizes.size(), again.data());
  for (size_t s = 0; s < sizes.size(); s++)
    expect(first[s] == again[s], "two runs are bit-equal", trainer, first[s] - again[s]);

  trainer.predict(features.data(), kSamples, outputs.data());
  for (float y : outputs) expect(std::isfinite(y), "painted values are finite", trainer, y);
  for (size_t l = 0; l < settings.hidden.size(); l++) {
    std::vector<float> values(static_cast<size_t>(kSamples) * settings.hidden[l]);
    trainer.activations(static_cast<int>(l), l % 2, features.data(), kSamples, values.data());
  }
}

}  // namespace

int main() {
  int count = 0;
  for (const std::string& isa : sfumato::usable_sets())
    for (int threads : {1, 3})
      for (int a = 0; a < sfumato::kActivations; a++)
        for (int variant = 0; variant < 4; variant++) {
          Settings s;
          s.isa = isa, s.threads = threads, s.inputs = 2, s.outputs = variant == 1 ? 17 : 3;
          s.activation = static_cast<Activation>(a);
          s.parameter = s.activation == Activation::leaky_relu ? 0.1f : 1.5f;
          if (variant == 0) s.hidden = {7, 33};
          else if (variant == 1) s.hidden = {64, 1, 20, 40};
          else s.hidden = {24, 18, 9};
          s.loss = variant == 1 ? Loss::cross_entropy : variant == 2 ? Loss::half_square : Loss::mse;
          s.method = variant == 2 ? Method::sgd : variant == 1 ? Method::muon : Method::adam;
          if (variant == 2) s.first = a % 2 ? 0 : 0.9;
          s.skip = variant >= 2;
          if (variant == 1) s.precision = threads == 1 ? sfumato::Precision::bfloat16 : sfumato::Precision::bfloat16_all;
          if (variant == 0 || (variant == 3 && a % 2)) s.dropped_inputs = 0.2f, s.dropped_hidden = 0.4f;
          s.clip = variant == 3 ? 0.1f : 0;
          s.chunk = variant == 0 ? 8 : 0;
          if (variant == 3) s.grid.levels = {{4, 5, false}, {6, 8, true}}, s.grid.log2_table = 5, s.inputs = 4;
          check(s);
          count++;
        }
  std::printf("%d trainers checked, %d failures\n", count, failures);
  return failures != 0;
}
