// What is left out or shared among threads to save time changes no result.
#include <cmath>
#include <cstdlib>
#include <random>

#include "check.h"

namespace {

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
    trainer.advance(order, sizes, rates, losses);
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
    return kind == 0   ? (unit * 7 + layer) % 3 == 0
           : kind == 1 ? unit == 5
           : kind == 2 ? layer != 1 && unit % 2 == 0
                       : (unit + layer) % 2 == 0;  // of competing pairs always the same one
  };
  for (int kind = 0; kind < 4; kind++)
    for (int threads : {1, 3}) {
      Settings s;
      s.isa = isa, s.threads = threads, s.inputs = 2, s.outputs = 3, s.hidden = {70, 300, 41}, s.chunk = 40;
      if (kind == 3) s.activation = Activation::lwta, s.parameter = 2;
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

}  // namespace

void shortcuts(const std::string& isa) {
  halves(isa);
  silence(isa);
}
