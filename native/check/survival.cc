// Threads, children, exceptions and settings that cannot be meant: nothing hangs, leaks or is lost.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <thread>

#include "../pool.h"
#include "check.h"

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
        trainer.advance(rows, sizes, {&rate, 1}, loss);
        trainer.predict(xy.data(), kSamples, outputs.data());
        Values weights(trainer);
        trainer.get(Kind::values, weights.pointers());
        expect(trainer.updates() > 0, "steps are counted", s, 0);
      }
    });
  for (auto& caller : callers) caller.join();
  expect(trainer.updates() == 60, "no step is lost", s, static_cast<double>(trainer.updates()));
}

namespace {

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

void survival() {
  refusals();
  denormals();
  failures_in_jobs();
  forks();
}
