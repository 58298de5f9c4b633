// A program for the sanitizers (address, undefined behaviour, threads), for other compilers and for machines without
// Python: trains small nets of every kind on every instruction set that the processor has, and holds their gradients
// against finite differences and against one another. `make sanitize` builds and runs it; exits with 1 if a check fails.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "cpu.h"
#include "trainer.h"

using sfumato::Activation;
using sfumato::Kind;
using sfumato::Loss;
using sfumato::Method;
using sfumato::Precision;
using sfumato::Settings;
using sfumato::Trainer;

namespace {

using Floats = std::vector<float>;

constexpr int kSamples = 77;
const std::vector<int32_t> kSizes{31, 1, 8, 33, 1, 1, kSamples};  // of minibatches: no row block fits them

struct Values {  // arrays in the trainer's order
  std::vector<Floats> arrays;

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
  void add(double factor, const Values& other) {
    for (size_t i = 0; i < arrays.size(); i++)
      for (size_t j = 0; j < arrays[i].size(); j++) arrays[i][j] += static_cast<float>(factor * other.arrays[i][j]);
  }
  double squares() const {
    double sum = 0;
    for (const auto& array : arrays)
      for (float x : array) sum += static_cast<double>(x) * x;
    return sum;
  }
};

int failures = 0;

void expect(bool fine, const char* what, const Settings& s, double value) {
  if (fine) return;
  std::printf("FAILED: %s: %g (%s, %d threads, activation %d, method %d, precision %d, widths", what, value,
              s.isa.c_str(), s.threads, static_cast<int>(s.activation), static_cast<int>(s.method),
              static_cast<int>(s.precision));
  for (int width : s.hidden) std::printf(" %d", width);
  std::printf(")\n");
  failures++;
}

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
    begin(trainer);
  }

  void all() {
    gradients();
    minibatches_add_up();
    pullback();
    training();
    if (s.method == Method::sgd && s.first == 0 && !s.clip) samples_one_by_one();
    painting();
  }

 private:
  bool exact() const { return s.precision == Precision::float32; }
  // The loss with bfloat16 weights is a staircase, and FINER's derivative leaves a factor out on purpose.
  bool differentiable() const { return exact() && s.activation != Activation::finer; }
  float uniform() { return static_cast<float>(random() % 65536) / 65536.f; }

  void begin(Trainer& any) const {
    any.set(Kind::values, weights.constants());
    any.set_data(features.data(), targets.data(), kSamples);
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
    any.advance(order.data() + row, kSizes.data() + first, rates.data(), seeds.data(), last - first, losses.data());
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
      any->advance(order.data(), sizes.data(), rates.data(), nullptr, sizes.size(), losses.data());
    Values left(one), right(other);
    one.get(Kind::values, left.pointers());
    other.get(Kind::values, right.pointers());
    left.add(-1, right);
    const double off = std::sqrt(left.squares() / right.squares());
    expect(off < 1e-5, "a sample a step equals minibatches of one", s, off);
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
      s.parameter = s.activation == Activation::leaky_relu ? 0.1f : 1.5f;
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

// A trainer may be called by several threads at once, which then take turns.
void turns(const std::string& isa) {
  Settings s;
  s.isa = isa, s.inputs = 2, s.outputs = 3, s.hidden = {20, 20}, s.threads = 2;
  Trainer trainer(s);
  const Floats xy(2 * kSamples, 0.5f), rgb(3 * kSamples, 0.25f);
  trainer.set_data(xy.data(), rgb.data(), kSamples);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; caller++)
    callers.emplace_back([&] {
      const std::vector<int32_t> rows(40, 3), sizes{40};
      const double rate = 1e-3;
      Floats outputs(rgb.size()), loss(1);
      for (int i = 0; i < 20; i++) {
        trainer.advance(rows.data(), sizes.data(), &rate, nullptr, 1, loss.data());
        trainer.predict(xy.data(), kSamples, outputs.data());
        Values weights(trainer);
        trainer.get(Kind::values, weights.pointers());
        expect(trainer.updates() > 0, "steps are counted", s, 0);
      }
    });
  for (auto& caller : callers) caller.join();
  expect(trainer.updates() == 60, "no step is lost", s, static_cast<double>(trainer.updates()));
}

// A sample a step, two threads halve each layer, or one takes both halves: the same weights to the last bit.
void halves(const std::string& isa) {
  constexpr int kSteps = 600;  // long enough for both ways to have been tried
  std::vector<Floats> found[2];
  for (int threads : {1, 3}) {
    Settings s;
    s.isa = isa, s.threads = threads, s.inputs = 2, s.outputs = 3, s.hidden = {250, 290};
    s.activation = Activation::leaky_relu, s.parameter = 0.01f, s.method = Method::sgd, s.first = 0, s.skip = true;
    Trainer trainer(s);
    std::mt19937 random(5);
    std::uniform_real_distribution<float> uniform(-0.1f, 0.1f);
    Values weights(trainer);
    for (Floats& array : weights.arrays)
      for (float& x : array) x = uniform(random);
    trainer.set(Kind::values, weights.constants());
    Floats xy(2 * kSamples), rgb(3 * kSamples), losses(kSteps);
    for (Floats* array : {&xy, &rgb})
      for (float& x : *array) x = 0.5f + 4 * uniform(random);
    trainer.set_data(xy.data(), rgb.data(), kSamples);
    std::vector<int32_t> order(kSteps), sizes(kSteps, 1);
    for (int i = 0; i < kSteps; i++) order[i] = i * 31 % kSamples;
    const std::vector<double> rates(kSteps, 0.05);
    trainer.advance(order.data(), sizes.data(), rates.data(), nullptr, kSteps, losses.data());
    trainer.get(Kind::values, weights.pointers());
    found[threads > 1] = weights.arrays;
    found[threads > 1].push_back(losses);
    if (threads > 1) expect(found[0] == found[1], "halves are the same by one thread and by two", s, losses.back());
  }
}

// With layers of which some units, all but one, or all never fire: the same with silent units skipped as without, and
// the same paint to the last bit.
void silence(const std::string& isa) {
  const auto fires = [](int kind, int layer, int unit) {
    return kind == 0 ? (unit * 7 + layer) % 3 == 0 : kind == 1 ? unit == 5 : layer != 1 && unit % 2 == 0;
  };
  for (int kind = 0; kind < 3; kind++)
    for (int threads : {1, 3}) {
      Settings s;
      s.isa = isa, s.threads = threads, s.inputs = 2, s.outputs = 3, s.hidden = {70, 300, 41}, s.chunk = 40;
      std::vector<Floats> found[2];
      for (bool dense : {false, true}) {
        setenv("SFUMATO_DENSE", dense ? "1" : "0", 1);
        Trainer trainer(s);
        Values values(trainer);
        std::mt19937 random(3);
        std::uniform_real_distribution<float> uniform(-1, 1);
        for (size_t i = 0; i < values.arrays.size(); i++)
          for (size_t j = 0; j < values.arrays[i].size(); j++) {
            const bool silent = i % 2 && i / 2 < 3 && !fires(kind, static_cast<int>(i / 2), static_cast<int>(j));
            values.arrays[i][j] = silent ? -1e3f : 0.2f * uniform(random);
          }
        trainer.set(Kind::values, values.constants());
        Floats xy(2 * kSamples), rgb(3 * kSamples), painted(3 * kSamples);
        for (Floats* array : {&xy, &rgb})
          for (float& x : *array) x = uniform(random);
        trainer.set_data(xy.data(), rgb.data(), kSamples);
        std::vector<int32_t> rows(kSamples);
        for (int i = 0; i < kSamples; i++) rows[i] = i;
        trainer.gradient(rows.data(), rows.size(), values.pointers());
        trainer.predict(xy.data(), kSamples, painted.data());
        found[dense] = values.arrays;
        found[dense].push_back(painted);
        const sfumato::Work work = trainer.work();
        expect(dense ? work.all == 0 : work.done < 0.8 * work.all, "silent units are skipped", s, work.done / work.all);
      }
      unsetenv("SFUMATO_DENSE");
      expect(found[0].back() == found[1].back(), "skipping silent units changes no bit of the paint", s, kind);
      double off = 0, size = 0;
      for (size_t i = 0; i < found[0].size(); i++)
        for (size_t j = 0; j < found[0][i].size(); j++) {
          off += std::pow(found[0][i][j] - found[1][i][j], 2), size += std::pow(found[1][i][j], 2);
          expect(found[1][i][j] != 0 || found[0][i][j] == 0, "gradients of silent units are 0", s, found[0][i][j]);
        }
      expect(off < 1e-10 * size, "gradients with silent units skipped", s, std::sqrt(off / size));
    }
}

// Dead units leave moments that decay into denormals, which no thread of a trainer may meet.
void denormals() {
  volatile float tiny = 1e-30f, result = 1;
  sfumato::Pool(2).run([&](int t) {
    if (t) result = tiny * 1e-10f;
  });
  expect(result == 0, "denormals are flushed", Settings(), result);
  result = tiny * 1e-10f;
  expect(result > 0, "the caller's denormals come back", Settings(), result);
}

// What a job throws reaches the caller, whoever waits at the barrier is let go, and the pool can be used again.
void failures_in_jobs() {
  sfumato::Pool pool(3);
  for (int culprit = 0; culprit < 3; culprit++) {
    bool caught = false;
    try {
      pool.run([&](int t) {
        pool.barrier();
        if (t == culprit) throw std::length_error("on purpose");
        pool.barrier();
        pool.barrier();
      });
    } catch (const std::length_error&) {
      caught = true;
    }
    expect(caught, "a job's exception reaches the caller", Settings(), culprit);
    std::atomic<int> done{0};
    pool.run([&](int) {
      pool.barrier();
      done++;
      pool.barrier();
    });
    expect(done == 3, "a pool works on after a failure", Settings(), done);
  }
}

// The threads of a pool do not come along into a child; it starts its own.
void forks() {
#if defined(__SANITIZE_THREAD__)
  return;  // which itself does not survive threads started in a child
#endif
  sfumato::Pool pool(3);
  const auto work = [&] {
    std::atomic<int> done{0};
    pool.run([&](int) {
      pool.barrier();
      done++;
      pool.barrier();
    });
    return done.load();
  };
  work();
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) _exit(work() == 3 ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  expect(status == 0, "a pool works in a child", Settings(), status);
  expect(work() == 3, "and still in its parent", Settings(), 0);
}

// A constructor that gives up must leave no thread and no memory behind.
void refusals() {
  Settings bad[3];
  for (Settings& s : bad) s.inputs = 2, s.outputs = 3, s.hidden = {8}, s.threads = 3;
  bad[0].isa = "abacus", bad[1].hidden = {8, 0};
  bad[2].grid.levels = {{1 << 20, 1 << 20, false}}, bad[2].isa = "plain";
  for (const Settings& s : bad) try {
      const Trainer trainer(s);
      expect(false, "settings that cannot be meant are refused", s, 0);
    } catch (const std::invalid_argument&) {
    }
}

}  // namespace

int main() {
  int count = 0;
  refusals();
  denormals();
  failures_in_jobs();
  forks();
  std::vector<std::string> sets = sfumato::usable_sets();
  sets.emplace_back("amx-emulated");
  for (const std::string& isa : sets) {
    expect(sfumato::peak(sfumato::pick_kernels(isa)) > 1e7, "a core's peak is measured", Settings(), 0);
    turns(isa);
    halves(isa);
    silence(isa);
    for (int threads : {1, 3})
      for (const Settings& settings : cases(isa, threads)) {
        // emulation is slow, and its float32 is that of the other units
        if (isa == "amx-emulated" && settings.precision == Precision::float32) continue;
        Check(settings).all(), count++;
      }
    std::printf("%s: fine so far\n", isa.c_str());
  }
  std::printf("%d nets checked, %d failures\n", count, failures);
  return failures != 0;
}
