// Nets of every activation, shape, optimizer, loss and precision: gradients against differences of the loss, minibatches
// against their parts, runs that were interrupted against runs that were not.
#include <cmath>
#include <functional>
#include <random>

#include "check.h"

namespace {

const std::vector<int32_t> kSizes{31, 1, 8, 33, 1, 1, kSamples};  // of minibatches: no row block fits them

// The slope of `value` along a gradient, over the slope that the gradient promises, its own square: 1 if it is right.
// One direction sees every parameter.
double promise(double squares, const std::function<double(double)>& value) {
  const double step = 2e-3 / std::sqrt(squares);
  return (value(step) - value(-step)) / (2 * step * squares);
}

class Check {
 public:
  explicit Check(const Settings& settings)
      : s(settings), trainer(settings), weights(trainer), random(7),
        features(kSamples * trainer.features()), targets(kSamples * s.outputs) {
    const auto shapes = trainer.array_shapes();
    for (size_t i = 0; i < shapes.size(); i++) {
      const float bound = shapes[i].second ? std::sqrt(3.f / static_cast<float>(shapes[i].second)) : 0.3f;
      for (float& w : weights.arrays[i]) w = bound * (2 * uniform() - 1);
    }
    for (float& x : features) x = uniform();
    for (float& y : targets) y = uniform();
    for (int32_t size : kSizes)
      for (int i = 0; i < size; i++) order.push_back(static_cast<int32_t>(random() % kSamples));
    for (size_t l = 0; l <= s.hidden.size(); l++)
      turned.emplace_back(weights.arrays[2 * l].rbegin(), weights.arrays[2 * l].rend());
    begin(trainer);
  }

  void all() {
    gradients();
    minibatches_add_up();
    pullback();
    training();
    if (s.method == Method::sgd && s.first == 0 && !s.clip) samples_one_by_one();
    if (s.feedback) feedback_by_the_weights();
    painting();
  }

 private:
  bool exact() const { return s.precision == Precision::float32; }
  // The loss with bfloat16 weights is a staircase, FINER's derivative leaves a factor out on purpose, LWTA jumps where
  // another unit wins, and errors that go back by fixed matrices are no derivatives.
  bool differentiable() const {
    return exact() && s.activation != Activation::finer && s.activation != Activation::lwta && !s.feedback;
  }
  float uniform() { return static_cast<float>(random() % 65536) / 65536.f; }

  void begin(Trainer& any) const {
    any.set(Kind::values, weights.constants());
    any.set_data(features.data(), targets.data(), kSamples);
    if (any.settings().feedback) any.set_feedback(fixed());
  }
  // The start's weights the other way round: matrices of the right shapes that are not the weights.
  sfumato::ConstArrays fixed() const {
    sfumato::ConstArrays result;
    for (size_t l = 1; l <= s.hidden.size(); l++) result.push_back(turned[l].data());
    return result;
  }
  Values gradient(const std::vector<int32_t>& rows) {
    Values result(trainer);
    trainer.gradient(rows.data(), rows.size(), result.pointers());
    return result;
  }
  Floats paint(const Floats& points) {
    Floats outputs(kSamples * s.outputs);
    trainer.predict(points.data(), kSamples, outputs.data());
    return outputs;
  }
  // Steps [first, last) of the plan.
  Floats advance(Trainer& any, size_t first, size_t last) const {
    const std::vector<double> rates(kSizes.size(), 1e-3);
    const std::vector<uint32_t> seeds(kSizes.size(), 5);
    size_t row = 0;
    for (size_t i = 0; i < first; i++) row += static_cast<size_t>(kSizes[i]);
    Floats losses(last - first);
    const size_t count = last - first;
    size_t rows = 0;
    for (size_t i = first; i < last; i++) rows += static_cast<size_t>(kSizes[i]);
    any.advance({order.data() + row, rows}, {kSizes.data() + first, count}, {rates.data(), count}, losses,
                {seeds.data(), count});
    return losses;
  }

  double along(const Values& gradient, const std::function<double()>& value) {
    const double ratio = promise(gradient.squares(), [&](double step) {
      Values moved = weights;
      moved.add(step, gradient);
      trainer.set(Kind::values, moved.constants());
      return value();
    });
    trainer.set(Kind::values, weights.constants());
    return ratio;
  }

  void gradients() {
    std::vector<int32_t> rows;
    for (int r = 0; r < kSamples; r += 2) rows.push_back(r);
    const Values gradient = this->gradient(rows);
    if (!differentiable()) return;
    Values unused(trainer);
    const double ratio = along(gradient, [&] {
      return static_cast<double>(trainer.gradient(rows.data(), rows.size(), unused.pointers()));
    });
    expect(std::fabs(ratio - 1) < 0.02, "gradient against differences", s, ratio);
  }

  void minibatches_add_up() {
    const auto rows = [&](int low, int high) { return std::vector<int32_t>(order.begin() + low, order.begin() + high); };
    const Values whole = gradient(rows(0, 33));
    Values parts(trainer);
    parts.add(31, gradient(rows(0, 31)));
    parts.add(1, gradient(rows(31, 32)));
    parts.add(1, gradient(rows(32, 33)));
    parts.add(-33, whole);
    const double off = std::sqrt(parts.squares() / whole.squares()) / 33;
    expect(off < (exact() ? 1e-5 : 2e-2), "33 samples are 31 and 1 and 1", s, off);
  }

  void pullback() {
    Floats errors(kSamples * s.outputs), dx(kSamples * s.inputs);
    for (float& e : errors) e = uniform() - 0.5f;
    Values gradient(trainer);
    float* const wanted = s.input_gradient ? dx.data() : nullptr;
    trainer.pullback(features.data(), errors.data(), kSamples, gradient.pointers(), wanted);
    if (!differentiable()) return;
    const auto value = [&](const Floats& points) {
      const Floats outputs = paint(points);
      double sum = 0;
      for (size_t i = 0; i < outputs.size(); i++) sum += static_cast<double>(outputs[i]) * errors[i];
      return sum;
    };
    const double ratio = along(gradient, [&] { return value(features); });
    expect(std::fabs(ratio - 1) < 0.02, "pullback against differences", s, ratio);
    if (!wanted) return;
    double squares = 0;
    for (float x : dx) squares += static_cast<double>(x) * x;
    const double inputs = promise(squares, [&](double step) {
      Floats moved = features;
      for (size_t i = 0; i < moved.size(); i++) moved[i] += static_cast<float>(step * dx[i]);
      return value(moved);
    });
    expect(std::fabs(inputs - 1) < 0.02, "gradient of the inputs against differences", s, inputs);
  }

  // Twice the same, and once more by a trainer that takes over in the middle.
  void training() {
    constexpr size_t kHalf = 4;
    const Floats losses = advance(trainer, 0, kSizes.size());
    Trainer first(s), second(s);
    begin(first), begin(second);
    Floats again = advance(first, 0, kHalf);
    for (Kind kind : {Kind::values, Kind::first, Kind::second}) {
      Values state(first);
      first.get(kind, state.pointers());
      second.set(kind, state.constants());
    }
    second.set_updates(first.updates());
    const Floats rest = advance(second, kHalf, kSizes.size());
    again.insert(again.end(), rest.begin(), rest.end());
    for (size_t i = 0; i < losses.size(); i++)
      expect(losses[i] == again[i] && std::isfinite(losses[i]), "resumed runs are bit-equal", s, losses[i] - again[i]);
    Values one(trainer), two(second);
    trainer.get(Kind::values, one.pointers());
    second.get(Kind::values, two.pointers());
    expect(one.arrays == two.arrays, "resumed weights are bit-equal", s, 0);
  }

  // Steps of one sample have code of their own; a limit that is never reached forces the ordinary one.
  void samples_one_by_one() {
    Settings ordinary = s;
    ordinary.clip = 1e30f;
    Trainer one(s), other(ordinary);
    begin(one), begin(other);
    const std::vector<int32_t> sizes(20, 1);
    const std::vector<double> rates(sizes.size(), 1e-2);
    Floats losses(sizes.size());
    for (Trainer* any : {&one, &other})
      any->advance({order.data(), sizes.size()}, sizes, rates, losses);
    Values left(one), right(other);
    one.get(Kind::values, left.pointers());
    other.get(Kind::values, right.pointers());
    left.add(-1, right);
    const double off = std::sqrt(left.squares() / right.squares());
    expect(off < 1e-5, "a sample a step equals minibatches of one", s, off);
  }

  // Fixed matrices that happen to be the weights change nothing, to the last bit.
  void feedback_by_the_weights() {
    Settings ordinary = s;
    ordinary.feedback = false;
    Trainer other(ordinary);
    begin(other), begin(trainer);
    const std::vector<int32_t> rows(order.begin(), order.begin() + kSamples);
    Values theirs(other), unlike = gradient(rows);
    other.gradient(rows.data(), rows.size(), theirs.pointers());
    expect(unlike.arrays != theirs.arrays, "fixed matrices are used", s, 0);
    sfumato::ConstArrays own;
    for (size_t l = 1; l <= s.hidden.size(); l++) own.push_back(weights.arrays[2 * l].data());
    trainer.set_feedback(own);
    expect(gradient(rows).arrays == theirs.arrays, "fixed matrices stand in for the weights", s, 0);
  }

  void painting() {
    for (float y : paint(features)) expect(std::isfinite(y), "painted values are finite", s, y);
    for (size_t l = 0; l < s.hidden.size(); l++)
      for (bool pre : {false, true}) {
        Floats values(static_cast<size_t>(kSamples) * s.hidden[l]);
        trainer.activations(static_cast<int>(l), pre, features.data(), kSamples, values.data());
        for (float y : values) expect(std::isfinite(y), "activations are finite", s, y);
      }
  }

  Settings s;
  Trainer trainer;
  Values weights;
  std::mt19937 random;
  Floats features, targets;
  std::vector<Floats> turned;
  std::vector<int32_t> order;
};

// Every activation with everything that may stand beside it, then every shape with every optimizer.
std::vector<Settings> cases(const std::string& isa, int threads) {
  Settings common;
  common.isa = isa, common.threads = threads, common.inputs = 2, common.outputs = 3;
  std::vector<Settings> result;
  for (int a = 0; a < sfumato::kActivations; a++)
    for (int variant = 0; variant < 4; variant++) {
      Settings s = common;
      s.activation = static_cast<Activation>(a);
      s.parameter = s.activation == Activation::leaky_relu ? 0.1f : s.activation == Activation::lwta ? 2.f + 2 * (variant % 2) : 1.5f;
      switch (variant) {
        case 0:
          s.hidden = {7, 33}, s.chunk = 8, s.dropped_inputs = 0.2f, s.dropped_hidden = 0.4f, s.decay = 0.1;
          break;
        case 1:
          s.hidden = {64, 1, 20, 40}, s.outputs = 17, s.loss = Loss::cross_entropy, s.smoothing = 0.1f;
          s.method = Method::muon, s.muon_blocks = threads, s.precision = threads == 1 ? Precision::bfloat16 : Precision::bfloat16_all;
          break;
        case 2:
          s.hidden = {24, 18, 9}, s.loss = Loss::half_square, s.method = Method::sgd, s.first = a % 2 ? 0 : 0.9;
          s.skip = true, s.factors = {1, 0.5f, 1, 2, 1}, s.input_gradient = true;
          break;
        default:
          s.hidden = {24, 18, 9}, s.skip = true, s.clip = 0.1f, s.dropped_hidden = a % 2 ? 0.4f : 0;
          s.grid.levels = {{4, 5, false}, {6, 8, true}}, s.grid.log2_table = 5;
          s.grid.features = a % 2 ? 2 : 3, s.inputs = 2 * s.grid.features;
      }
      result.push_back(s);
    }
  for (Method method : {Method::adam, Method::muon}) {  // wide enough that silent units are skipped
    Settings s = common;
    s.hidden = {70, 130, 50}, s.method = method, s.skip = s.input_gradient = true;
    s.dropped_hidden = method == Method::adam ? 0.3f : 0, s.chunk = method == Method::adam ? 16 : 0;
    result.push_back(s);
  }
  for (int variant = 0; variant < 6; variant++) {  // errors that go back by fixed matrices
    Settings s = common;
    s.hidden = {70, 41, 130}, s.feedback = true, s.skip = s.input_gradient = variant % 2;
    s.activation = variant % 3 ? variant % 3 == 1 ? Activation::tanh : Activation::lwta : Activation::relu;
    s.parameter = 2, s.precision = static_cast<Precision>(variant / 2);
    if (variant < 2) s.method = Method::sgd, s.first = 0;
    result.push_back(s);
  }
  const std::vector<std::vector<int>> shapes{{}, {1}, {7}, {64}, {300}, {300, 1, 64, 7}, std::vector<int>(12, 17)};
  for (size_t i = 0; i < shapes.size(); i++)
    for (int method = 0; method < 4; method++) {
      Settings s = common;
      s.hidden = shapes[i], s.activation = Activation::tanh;
      s.method = method == 3 ? Method::sgd : static_cast<Method>(method);
      if (s.method == Method::sgd) s.first = method == 3 ? 0.9 : 0;
      s.precision = static_cast<Precision>((i + static_cast<size_t>(method)) % 3);
      s.loss = i % 2 ? Loss::l1 : Loss::mse;
      s.chunk = i % 2 ? 24 : 0, s.input_gradient = true;
      result.push_back(s);
    }
  return result;
}

}  // namespace

int nets(const std::string& isa) {
  int count = 0;
  for (int threads : {1, 3})
    for (const Settings& settings : cases(isa, threads)) {
      // emulation is slow, and its float32 is that of the other units
      if (isa == "amx-emulated" && settings.precision == Precision::float32) continue;
      Check(settings).all(), count++;
    }
  return count;
}
